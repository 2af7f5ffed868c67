package view

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"hermes-reconcile/engine/gatewaylog"
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

// Stream prints items of a list that goes on: as lines of text, or each as a document: one JSON
// object a line, or a YAML document.
func Stream[T any](w io.Writer, format string, items []T, table func(io.Writer, []T)) error {
	if len(items) == 0 {
		return nil
	}
	if format == "table" {
		return Print(w, format, items, table)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	for _, item := range items {
		encode := func() error { return encoder.Encode(item) }
		if format == "yaml" {
			text.WriteString("---\n")
			encode = func() error { return document(&text, format, item) }
		}
		if err := encode(); err != nil {
			return err
		}
	}
	_, err := w.Write(text.Bytes())
	return err
}

// Events prints each event as one line.
func Events(w io.Writer, events []ledger.Event) {
	for _, e := range events {
		by := strings.Join(append([]string{e.Command}, e.Cause...), ", ")
		line(w, "%s  %-16s  %s: %s (%s)", e.Time, wordOrNone(e.Profile), strings.Join(e.Done, ", "), cut(e.Reason, 400), by)
	}
}

// Logs prints lines of the logs of several gateways.
func Logs(w io.Writer, lines []gatewaylog.Line) {
	for _, l := range lines {
		fmt.Fprintf(w, "%-16s  ", policy.Word(l.Profile))
		Log(w, []gatewaylog.Line{l})
	}
}

// Log prints lines of the log of a gateway. Tabs stay.
func Log(w io.Writer, lines []gatewaylog.Line) {
	for _, l := range lines {
		at := policy.NowNothing
		if l.Time != nil {
			at = l.Time.Format("2006-01-02T15:04:05.000Z07:00")
		}
		fmt.Fprintf(w, "%s  %s\n", at, policy.Clean(l.Text))
	}
}

// bootOf is the column BOOT. A pass that was not a boot has its command there.
func bootOf(e ledger.Entry) string {
	if e.Phase == policy.PhaseBoot {
		return fmt.Sprint(e.Boot)
	}
	return fmt.Sprintf("%d %s", e.Boot, cmp.Or(e.Command, e.Phase, policy.NowNothing))
}

// wordOrNone returns a word from the ledger, or a dash.
func wordOrNone[T ~string](text T) string {
	if text == "" {
		return policy.NowNothing
	}
	return policy.Word(string(text))
}
