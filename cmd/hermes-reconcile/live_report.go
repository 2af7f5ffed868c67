package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"hermes-reconcile/policy"
)

// A liveReport says what a command did to a running container. It is what the
// command prints.
type liveReport struct {
	SchemaVersion int                    `json:"schema_version"`
	Command       string                 `json:"command"`
	Policy        *policy.Status         `json:"policy,omitempty"` // absent where no rule was asked
	Skip          []policy.Contribution  `json:"skip"`
	Alarms        []policy.Alarm         `json:"alarms"`
	Operations    []liveOperation        `json:"operations"` // in the order in which they were done
	Pending       []string               `json:"pending"`    // profiles whose new run script takes effect at their next start
	Profiles      map[string]liveProfile `json:"profiles"`
	Errors        []string               `json:"errors"` // those that are about no profile

	code int // of the exit status that the errors ask for
}

// A liveOperation is one step and how it ended.
type liveOperation struct {
	policy.Operation
	Done  bool   `json:"done"` // false where there was nothing to do any more, or with an error
	Error string `json:"error,omitempty"`
}

// A liveProfile is what became of a profile that the command was about.
type liveProfile struct {
	Outcome  string   `json:"outcome"` // one word or a few: started, already down, refused
	Slot     string   `json:"slot"`    // up, down, none, as status has it
	Now      string   `json:"now"`
	PID      int      `json:"pid,omitempty"`
	Code     string   `json:"code,omitempty"`   // of the decision
	Reason   string   `json:"reason,omitempty"` // of the decision
	Notes    []string `json:"notes,omitempty"`
	Errors   []string `json:"errors,omitempty"`
	Recorded bool     `json:"-"` // something about it was written down
}

func newLiveReport(command string) liveReport {
	return liveReport{
		SchemaVersion: policy.SchemaVersion, Command: command,
		Skip: []policy.Contribution{}, Alarms: []policy.Alarm{}, Operations: []liveOperation{}, Pending: []string{},
		Profiles: map[string]liveProfile{}, Errors: []string{},
	}
}

func (r *liveReport) add(result policy.Result) {
	o := liveOperation{Operation: result.Operation, Done: result.Done}
	if result.Err != nil {
		o.Error = result.Err.Error()
		r.fail(result.Operation.Profile, result.Err)
	}
	r.Operations = append(r.Operations, o)
}

// fail notes an error, of a profile where it has a name.
func (r *liveReport) fail(profile string, err error) {
	if r.code == exitDone {
		r.code = exitProfile
	}
	p, ok := r.Profiles[profile]
	if !ok {
		r.Errors = append(r.Errors, err.Error())
		return
	}
	p.Errors = append(p.Errors, err.Error())
	r.Profiles[profile] = p
}

// forget drops the errors of a profile.
func (r *liveReport) forget(profile string) {
	p := r.Profiles[profile]
	p.Errors = nil
	r.Profiles[profile] = p
	r.code = exitDone
	if len(r.Errors) > 0 {
		r.code = exitProfile
	}
	for _, p := range r.Profiles {
		if len(p.Errors) > 0 {
			r.code = exitProfile
		}
	}
}

// exit is the error that carries the exit status; what went wrong is in the report.
func (r *liveReport) exit() error {
	for _, a := range r.Alarms {
		if a.Code == policy.CodeRuleError {
			return &exitError{exitPolicy, nil}
		}
	}
	return silently(r.code)
}

// see adds how the slot of the profile is now.
func (p *liveProfile) see(all seenSlots, slot seenSlot, there bool) {
	seen := profileStatus{}.seen(all, slot, there)
	p.Slot, p.Now, p.PID = seen.Slot, seen.Now, seen.PID
}

// writeLive prints a report.
func writeLive(w io.Writer, format string, r liveReport) error {
	if format != "table" {
		return writeDocument(w, format, r)
	}
	for _, c := range r.Skip {
		fmt.Fprintf(w, "This container supervises nothing: %s (%s, %s)\n", line(c.Reason), c.Rule, c.Location)
	}
	var err error
	if r.Command == "apply" {
		err = writeOperations(w, r)
	} else {
		err = writeOutcomes(w, r)
	}
	for _, name := range r.Pending {
		fmt.Fprintf(w, "PENDING %s: its run script changed, effective at its next start (apply --restart-changed restarts it)\n", line(name))
	}
	for _, a := range r.Alarms {
		about := ""
		if a.Profile != "" {
			about = line(a.Profile) + ": "
		}
		fmt.Fprintf(w, "ALARM   %s%s\n", about, line(a.Reason))
	}
	for _, text := range r.Errors {
		fmt.Fprintf(w, "FAILED  %s\n", line(text))
	}
	return err
}

// writeOperations prints what apply did, one operation a line.
func writeOperations(w io.Writer, r liveReport) error {
	if len(r.Operations) == 0 {
		if len(r.Skip) > 0 {
			return nil
		}
		_, err := fmt.Fprintln(w, "Nothing to do.")
		return err
	}
	done := 0
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, op := range r.Operations {
		sign, ok := signs[op.Op]
		switch {
		case op.Error != "":
			sign = "!"
		case !op.Done:
			sign = "="
		case !ok:
			sign = "~"
		}
		if op.Done {
			done++
		}
		fmt.Fprintf(table, "%s %s\t%s\t%s\t# %s\n", sign, op.Op, line(op.Profile), object(op.Operation), line(op.Cause))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "Done: %d of %d.\n", done, len(r.Operations))
	return err
}

// writeOutcomes prints a line for each profile, with what is to be known below it.
func writeOutcomes(w io.Writer, r liveReport) error {
	if len(r.Profiles) == 0 && len(r.Skip) == 0 {
		_, err := fmt.Fprintln(w, "Nothing to do.")
		return err
	}
	for _, name := range sortedNames(r.Profiles) {
		p := r.Profiles[name]
		text := p.Outcome
		if p.PID != 0 {
			text += fmt.Sprintf(", pid %d", p.PID)
		}
		if _, err := fmt.Fprintf(w, "%s: %s\n", line(name), line(text)); err != nil {
			return err
		}
		for _, note := range p.Notes {
			fmt.Fprintf(w, "        %s\n", line(note))
		}
		for _, text := range p.Errors {
			fmt.Fprintf(w, "FAILED  %s: %s\n", line(name), line(text))
		}
	}
	return nil
}

func (r *liveRun) setOutcome(name, outcome string) {
	p := r.report.Profiles[name]
	switch {
	case len(p.Errors) == 0 || outcome == "refused":
	case slices.Contains([]string{"stopped", "started", "restarted", "slot removed"}, outcome):
		outcome += ", with an error"
	default:
		outcome = "failed"
	}
	p.Outcome = outcome
	r.report.Profiles[name] = p
}

func (r *liveRun) note(name, text string) {
	p := r.report.Profiles[name]
	p.Notes = append(p.Notes, text)
	r.report.Profiles[name] = p
}
