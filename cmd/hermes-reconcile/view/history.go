package view

import (
	"bytes"
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

// Events prints one line for each event, as a document of its own unless it is for people.
func Events(w io.Writer, format string, events []ledger.Event) error {
	var text bytes.Buffer
	for _, e := range events {
		switch format {
		case "table":
			by := e.Command
			if len(e.Cause) > 0 {
				by += ": " + strings.Join(e.Cause, ", ")
			}
			line(&text, "%s  %-16s  %s: %s (%s)", e.Time, wordOrNone(e.Profile), strings.Join(e.Done, ", "), cut(e.Reason, 400), by)
		case "json":
			one, err := json.Marshal(e)
			if err != nil {
				return err
			}
			fmt.Fprintf(&text, "%s\n", one)
		default:
			if err := document(&text, format, []ledger.Event{e}); err != nil {
				return err
			}
		}
	}
	_, err := w.Write(text.Bytes())
	return err
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
