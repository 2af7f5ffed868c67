package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// History prints the entries as a table. What changed stands above the first boot that saw
// it.
func History(w io.Writer, d ledger.History) {
	var text strings.Builder
	table := newTable(&text, "PROFILE", "BOOT", "TIME", "IMAGE", "POLICY", "ACTION", "CODE", "PRIOR STATE", "PRIOR EXIT")
	for _, e := range d.Entries {
		table.row(cmp.Or(e.Profile, policy.NowNothing), bootOf(e), e.Time, wordOrNone(e.Image),
			wordOrNone(e.Policy), e.Action, e.Code, wordOrNone(e.PriorState), wordOrNone(e.PriorExit))
	}
	table.end()
	rows := strings.SplitAfter(text.String(), "\n")
	io.WriteString(w, rows[0])
	for i, e := range d.Entries {
		for _, change := range e.Changed {
			line(w, "  ~ %s", change)
		}
		io.WriteString(w, rows[i+1])
	}
	if len(d.Entries) == 0 {
		line(w, "The ledger has no boot of it.")
	}
	for _, note := range d.Notes {
		line(w, "NOTE    %s", note)
	}
}

// Events prints each event: as one line, or as one JSON object a line.
func Events(w io.Writer, format string, events []ledger.Event) (err error) {
	for _, e := range events {
		if format == "json" {
			err = json.NewEncoder(w).Encode(e)
		} else {
			err = Print(w, format, []ledger.Event{e}, event)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func event(w io.Writer, one []ledger.Event) {
	e := one[0]
	by := strings.Join(append([]string{e.Command}, e.Cause...), ", ")
	line(w, "%s  %-16s  %s: %s (%s)", e.Time, wordOrNone(e.Profile), strings.Join(e.Done, ", "), cut(e.Reason, 400), by)
}

// bootOf is the column BOOT. A pass that was not a boot has its command there.
func bootOf(e ledger.Entry) string {
	if e.Phase == policy.PhaseBoot {
		return fmt.Sprint(e.Boot)
	}
	return fmt.Sprintf("%d %s", e.Boot, cmp.Or(e.Command, e.Phase, policy.NowNothing))
}

// wordOrNone returns a word from the ledger, or a dash.
func wordOrNone(text string) string {
	if text == "" {
		return policy.NowNothing
	}
	return policy.Word(text)
}
