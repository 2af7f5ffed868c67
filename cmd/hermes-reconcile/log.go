package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// logMost bounds -n: the ledger keeps fewer boots than that.
const logMost = 10_000

func newLog() *cobra.Command {
	var boots int
	cmd := &cobra.Command{
		Use:   "log [PROFILE...]",
		Short: "Show what the last boots did with each profile, and what changed between them",
		Long: `Print the ledger of boots as a table: for each profile a line a boot, and between
two boots what changed for the profile: its facts, those of the container, the
rules, the image. Boot 0 is the newest, -1 the one before.`,
		Example: `  hermes-reconcile log
  hermes-reconcile log coder -n 20
  hermes-reconcile log -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return showLog(cmd, args, boots)
		},
		ValidArgsFunction: completeProfiles,
	}
	cmd.Flags().IntVarP(&boots, "boots", "n", 5, "how many boots, the newest")
	return cmd
}

// A logDocument is what `log --output json` prints.
type logDocument struct {
	SchemaVersion int        `json:"schema_version"`
	Boots         int        `json:"boots"`   // shown
	Entries       []logEntry `json:"entries"` // by profile, and then oldest first
	Notes         []string   `json:"notes"`   // what could not be read
}

// A logEntry is one boot of one profile; without a profile, one that supervised
// nothing.
type logEntry struct {
	Profile    string   `json:"profile,omitempty"`
	Boot       int      `json:"boot"` // 0 is the newest, -1 the one before
	Time       string   `json:"time"`
	Phase      string   `json:"phase"`
	Command    string   `json:"command,omitempty"` // what somebody called; absent at a boot
	BootID     string   `json:"boot_id,omitempty"` // of the kernel
	Image      string   `json:"image,omitempty"`
	Policy     string   `json:"policy"` // the revision
	Fallback   bool     `json:"fallback"`
	Action     string   `json:"action"`
	Code       string   `json:"code"`
	Reason     string   `json:"reason"`
	PriorState string   `json:"prior_state,omitempty"`
	PriorExit  string   `json:"prior_exit,omitempty"`
	Changed    []string `json:"changed"` // since the boot above that has the profile
}

func showLog(cmd *cobra.Command, names []string, boots int) error {
	if boots < 1 || boots > logMost {
		return fmt.Errorf("-n is %d, want 1 to %d boots", boots, logMost)
	}
	c, err := loadConfig(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), c.Boot.Deadline)
	defer cancel()
	side, err := openChild(c, policy.PhaseBoot)
	if err != nil {
		return &exitError{exitProfile, err}
	}
	defer side.Close()
	// One more, so that the oldest can be compared.
	runs, err := side.Runs(ctx, ledger.Query{Profiles: names, Most: boots + 1})
	if err != nil {
		return &exitError{exitProfile, fmt.Errorf("the ledger: %w", err)}
	}
	known := map[string]bool{}
	for _, name := range runs.Names {
		known[name] = true
	}
	if _, err := only(known, names); err != nil {
		return err
	}
	d := newLogDocument(runs, boots)
	if c.Output != "table" {
		err = writeDocument(cmd.OutOrStdout(), c.Output, d)
	} else {
		err = writeLog(cmd.OutOrStdout(), d)
	}
	if err != nil {
		return &exitError{exitProfile, err}
	}
	return nil
}

// newLogDocument makes the entries of the newest boots.
func newLogDocument(runs ledger.Runs, boots int) logDocument {
	d := logDocument{
		SchemaVersion: policy.SchemaVersion, Boots: min(boots, len(runs.Runs)),
		Entries: []logEntry{}, Notes: append([]string{}, runs.Notes...),
	}
	before := map[string]profileAtRun{}
	for i, run := range runs.Runs {
		boot := i - len(runs.Runs) + 1
		lines := run.Profiles
		if len(lines) == 0 && run.Container != nil && run.Container.Action == actionWords[policy.ActionSkip] {
			lines = []ledger.Line{*run.Container}
		}
		for _, l := range lines {
			now := profileAtRun{l, run.Container}
			entry := entryOf(l, boot)
			if old, ok := before[l.Profile]; ok {
				entry.Changed = now.changedSince(old)
			}
			before[l.Profile] = now
			if boot > -boots {
				d.Entries = append(d.Entries, entry)
			}
		}
	}
	slices.SortStableFunc(d.Entries, func(a, b logEntry) int { return cmp.Compare(a.Profile, b.Profile) })
	return d
}

func entryOf(l ledger.Line, boot int) logEntry {
	return logEntry{
		Profile: l.Profile, Boot: boot, Time: l.Time, Phase: l.Phase, Command: l.Command, BootID: l.BootID, Image: l.Image,
		Policy: l.Policy.Revision, Fallback: l.Policy.Fallback, Action: l.Action, Code: l.Code, Reason: l.Reason,
		PriorState: l.PriorState, PriorExit: l.PriorExit, Changed: []string{},
	}
}

// A profileAtRun is what the ledger has of a profile at one run.
type profileAtRun struct {
	profile   ledger.Line
	container *ledger.Line // nil where its line is lost
}

// changedSince names what is otherwise than at an earlier run.
func (p profileAtRun) changedSince(old profileAtRun) []string {
	changed := []string{}
	differ := func(what, was, is string) {
		if was != is {
			changed = append(changed, fmt.Sprintf("%s %s -> %s", what, cmp.Or(was, "none"), cmp.Or(is, "none")))
		}
	}
	differ("image", old.profile.Image, p.profile.Image)
	if old.profile.Policy.Revision != "" && p.profile.Policy.Revision != "" { // else no rule was asked
		differ("policy revision", old.profile.Policy.Revision, p.profile.Policy.Revision)
	}
	if facts := changedFacts(old.profile.Facts, p.profile.Facts); len(facts) > 0 && p.profile.Profile != "" {
		changed = append(changed, "facts of the profile: "+strings.Join(facts, ", "))
	}
	if p.container != nil && old.container != nil {
		facts := changedFacts(old.container.Facts, p.container.Facts)
		if old.profile.Image != p.profile.Image {
			facts = slices.DeleteFunc(facts, func(name string) bool { return name == "image" }) // said above
		}
		if len(facts) > 0 {
			changed = append(changed, "facts of the container: "+strings.Join(facts, ", "))
		}
	}
	outcome := p.profile.Action != old.profile.Action || p.profile.Code != old.profile.Code
	if len(changed) == 0 && outcome && p.profile.Command == "" {
		changed = append(changed, "nothing that the ledger records")
	}
	return changed
}

// writeLog prints the entries as a table, with what changed above the boot that saw
// it.
func writeLog(w io.Writer, d logDocument) error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "PROFILE\tBOOT\tTIME\tIMAGE\tPOLICY\tACTION\tCODE\tPRIOR STATE\tPRIOR EXIT")
	for _, e := range d.Entries {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", line(cmp.Or(e.Profile, nothing)), e.boot(), line(e.Time), wordOrNone(e.Image),
			wordOrNone(e.Policy), line(e.Action), line(e.Code), wordOrNone(e.PriorState), wordOrNone(e.PriorExit))
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
			show("  ~ " + line(change) + "\n")
		}
		show(rows[i+1])
	}
	if len(d.Entries) == 0 {
		show("The ledger has no boot of it.\n")
	}
	for _, note := range d.Notes {
		show("NOTE    " + line(note) + "\n")
	}
	return errors.Join(errs...)
}

// boot is the column BOOT; a run that was no boot says what it was.
func (e logEntry) boot() string {
	if e.Phase == policy.PhaseBoot {
		return fmt.Sprint(e.Boot)
	}
	return fmt.Sprintf("%d %s", e.Boot, line(cmp.Or(e.Command, e.Phase, nothing)))
}

// wordOrNone prints a word from the ledger; nothing is a dash.
func wordOrNone(text string) string {
	if text == "" {
		return nothing
	}
	return word(text)
}
