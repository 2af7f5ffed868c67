package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// A comparison says which profiles two policies decide differently, over the same
// facts and with the same settings of the configuration. The present policy is
// what a boot would use: the directories of the configuration, or what it falls
// back to. The candidate has the directories of the command line instead of them.
type comparison struct {
	SchemaVersion int                   `json:"schema_version"`
	Present       policy.Status         `json:"present"`
	Candidate     policy.Status         `json:"candidate"`
	Same          int                   `json:"same"` // profiles that are decided alike
	Profiles      map[string]difference `json:"profiles"`
	Alarms        []policy.Alarm        `json:"alarms"` // those of the candidate that are new
}

// A difference is one profile that is decided differently.
type difference struct {
	Present   outcome  `json:"present"`
	Candidate outcome  `json:"candidate"`
	Changed   []string `json:"changed"` // keys of the decision
	// Rules are the contributions that only the candidate has, Gone those that only
	// the present policy has.
	Rules []policy.Contribution `json:"rules"`
	Gone  []policy.Contribution `json:"gone"`
}

type outcome struct {
	Action   policy.Action `json:"action"`
	Code     string        `json:"code"`
	Reason   string        `json:"reason"`
	Rule     string        `json:"rule,omitempty"` // that decided; none where no rule did
	Location string        `json:"location,omitempty"`
}

// runCompare prints the differences, and says whether there are any.
func runCompare(cmd *cobra.Command, f evalFlags, profiles []string) (different bool, err error) {
	candidate, err := loadConfig(cmd.Flags(), os.Environ())
	if err != nil {
		return false, err
	}
	if !cmd.Flags().Changed("policy") {
		return false, errors.New("--compare compares the rules of --policy with the present ones: give --policy DIR")
	}
	present := candidate
	if present.Policy, err = configuredPolicy(cmd.Flags()); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), candidate.Boot.Deadline)
	defer cancel()
	rules, err := loadPolicy(candidate)
	if err != nil {
		return false, err
	}
	s, err := evalSituation(ctx, candidate, f.input, cmd.InOrStdin())
	if err != nil {
		return false, err
	}
	presentRules, err := loadOrFallBack(present)
	if err != nil {
		return false, &exitError{exitPolicy, err}
	}
	was := decideOrFallBack(ctx, present, presentRules, s.input)
	would := engine.Decide(ctx, rules, s.input, engine.OnRuleError(candidate.OnRuleError))
	noteVolume(&would, s)
	noteVolume(&was, s)

	c := compare(was, would)
	if c.Profiles, c.Same, err = onlyDifferent(c, was, profiles); err != nil {
		return false, err
	}
	if candidate.Output != "table" {
		err = writeDocument(cmd.OutOrStdout(), candidate.Output, c)
	} else {
		err = writeComparison(cmd.OutOrStdout(), c)
	}
	if err != nil {
		return false, &exitError{exitProfile, err}
	}
	return len(c.Profiles) > 0, trouble(would, s)
}

// configuredPolicy returns the directories of rules without those of the command
// line.
func configuredPolicy(flags *pflag.FlagSet) ([]string, error) {
	without := pflag.NewFlagSet("", pflag.ContinueOnError)
	addGlobalFlags(without)
	if file := flags.Lookup("config"); file.Changed {
		if err := without.Set("config", file.Value.String()); err != nil {
			return nil, err
		}
	}
	c, err := loadConfig(without, os.Environ())
	return c.Policy, err
}

// compare lays two decisions over the same facts beside each other.
func compare(was, would policy.Decisions) comparison {
	c := comparison{
		SchemaVersion: policy.SchemaVersion, Present: was.Policy, Candidate: would.Policy,
		Profiles: map[string]difference{}, Alarms: []policy.Alarm{},
	}
	for name, p := range was.Profiles {
		q := would.Profiles[name]
		changed := changedKeys(p, q)
		if len(changed) == 0 {
			c.Same++
			continue
		}
		c.Profiles[name] = difference{
			Present: outcomeOf(p, was.Skip), Candidate: outcomeOf(q, would.Skip), Changed: changed,
			Rules: missingIn(q.Contributions, p.Contributions), Gone: missingIn(p.Contributions, q.Contributions),
		}
	}
	for _, a := range would.Alarms {
		if !slices.Contains(was.Alarms, a) {
			c.Alarms = append(c.Alarms, a)
		}
	}
	return c
}

// changedKeys names the keys of two decisions that differ. A reason in other words
// is no difference.
func changedKeys(p, q policy.Decision) []string {
	var keys []string
	differ := func(key string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			keys = append(keys, key)
		}
	}
	differ("action", p.Action, q.Action)
	differ("code", p.Code, q.Code)
	if !slices.Equal(p.Sweep, q.Sweep) {
		keys = append(keys, "sweep")
	}
	differ("delay_seconds", p.DelaySeconds, q.DelaySeconds)
	if !maps.Equal(p.Env, q.Env) {
		keys = append(keys, "env")
	}
	differ("restart", p.Restart, q.Restart)
	differ("seed", p.Seed, q.Seed)
	return keys
}

func outcomeOf(d policy.Decision, skip []policy.Contribution) outcome {
	o := outcome{Action: d.Action, Code: d.Code, Reason: d.Reason}
	if c, ok := decidedBy(d, skip); ok {
		o.Rule, o.Location = c.Rule, c.Location
	}
	return o
}

// decidedBy returns the contribution that gave a decision its action and reason; it
// is not ok where no rule did, as with code no_start_rule.
func decidedBy(d policy.Decision, skip []policy.Contribution) (policy.Contribution, bool) {
	set := map[policy.Action]policy.Set{
		policy.ActionStart: policy.SetStart, policy.ActionDown: policy.SetHold, policy.ActionSkip: policy.SetSkip,
	}[d.Action]
	for _, c := range slices.Concat(skip, d.Contributions) {
		if c.Set == set && c.Counts() && c.Reason == d.Reason && (c.Code == d.Code || c.Code == "") {
			return c, true
		}
	}
	return policy.Contribution{}, false
}

func missingIn(these, those []policy.Contribution) []policy.Contribution {
	missing := []policy.Contribution{}
	for _, c := range these {
		if !slices.ContainsFunc(those, func(o policy.Contribution) bool { return c.Rule == o.Rule && c.Compare(o) == 0 }) {
			missing = append(missing, c)
		}
	}
	return missing
}

// onlyDifferent keeps the named profiles, and counts those of them that are decided
// alike.
func onlyDifferent(c comparison, was policy.Decisions, profiles []string) (map[string]difference, int, error) {
	asked, err := only(was.Profiles, profiles)
	if err != nil {
		return nil, 0, err
	}
	kept := map[string]difference{}
	for name, d := range c.Profiles {
		if _, ok := asked[name]; ok {
			kept[name] = d
		}
	}
	return kept, len(asked) - len(kept), nil
}

func writeComparison(w io.Writer, c comparison) error {
	fmt.Fprintf(w, "present    %s (revision %s)\n", c.Present.Source, c.Present.Revision)
	for _, e := range c.Present.Errors {
		fmt.Fprintf(w, "           instead of what is configured: %s\n", line(e))
	}
	fmt.Fprintf(w, "candidate  %s (revision %s)\n\n", c.Candidate.Source, c.Candidate.Revision)
	if len(c.Profiles) > 0 {
		table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "PROFILE\tPRESENT\tCANDIDATE\tBECAUSE")
		for _, name := range slices.Sorted(maps.Keys(c.Profiles)) {
			d := c.Profiles[name]
			fmt.Fprintf(table, "%s\t%s %s\t%s %s\t%s\n", name, d.Present.Action, d.Present.Code, d.Candidate.Action, d.Candidate.Code, line(d.because()))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	writeAlarms(w, policy.Decisions{Alarms: c.Alarms})
	_, err := fmt.Fprintf(w, "%s decided differently, %d alike.\n", plural(len(c.Profiles), "profile"), c.Same)
	return err
}

// because names the rule that makes the difference, and what else changes than the
// action.
func (d difference) because() string {
	var parts []string
	for _, key := range d.Changed {
		if key != "action" && key != "code" {
			parts = append(parts, key+" differs")
		}
	}
	if d.Present.Action == d.Candidate.Action && d.Present.Code == d.Candidate.Code {
		for _, c := range d.Rules {
			parts = append(parts, fmt.Sprintf("%s (%s, %s)", c.Reason, c.Rule, c.Location))
		}
		return strings.Join(parts, "; ")
	}
	why := d.Candidate.Reason
	if d.Candidate.Rule != "" {
		why = fmt.Sprintf("%s (%s, %s)", why, d.Candidate.Rule, d.Candidate.Location)
	}
	present := func(c policy.Contribution) bool { return c.Rule == d.Present.Rule && c.Reason == d.Present.Reason }
	if slices.ContainsFunc(d.Gone, present) {
		why = fmt.Sprintf("%s; no longer: %s (%s, %s)", why, d.Present.Reason, d.Present.Rule, d.Present.Location)
	}
	return strings.Join(append([]string{why}, parts...), "; ")
}
