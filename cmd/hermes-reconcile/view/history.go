package view

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// History prints the entries as a table. What changed stands above the first boot that saw
// it.
func History(w io.Writer, d ledger.History) error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "PROFILE\tBOOT\tTIME\tIMAGE\tPOLICY\tACTION\tCODE\tPRIOR STATE\tPRIOR EXIT")
	for _, e := range d.Entries {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", policy.Line(cmp.Or(e.Profile, policy.NowNothing)), bootOf(e), policy.Line(e.Time), wordOrNone(e.Image),
			wordOrNone(e.Policy), policy.Line(e.Action), policy.Line(e.Code), wordOrNone(e.PriorState), wordOrNone(e.PriorExit))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	rows := strings.SplitAfter(text.String(), "\n")
	var errs []error
	show := func(text string) {
		_, err := io.WriteString(w, text)
		errs = append(errs, err)
	}
	show(rows[0])
	for i, e := range d.Entries {
		for _, change := range e.Changed {
			show("  ~ " + policy.Line(change) + "\n")
		}
		show(rows[i+1])
	}
	if len(d.Entries) == 0 {
		show("The ledger has no boot of it.\n")
	}
	for _, note := range d.Notes {
		show("NOTE    " + policy.Line(note) + "\n")
	}
	return errors.Join(errs...)
}

// bootOf is the column BOOT. A pass that was not a boot has its command there.
func bootOf(e ledger.Entry) string {
	if e.Phase == policy.PhaseBoot {
		return fmt.Sprint(e.Boot)
	}
	return fmt.Sprintf("%d %s", e.Boot, policy.Line(cmp.Or(e.Command, e.Phase, policy.NowNothing)))
}

// wordOrNone returns a word from the ledger, or a dash.
func wordOrNone(text string) string {
	if text == "" {
		return policy.NowNothing
	}
	return policy.Word(text)
}
