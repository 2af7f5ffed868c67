package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

// An explanation says why one profile is up or down. `explain --output json` prints
// it.
type explanation struct {
	SchemaVersion int           `json:"schema_version"`
	Profile       string        `json:"profile"`
	Sentence      string        `json:"sentence"`
	Action        policy.Action `json:"action"`
	Code          string        `json:"code"`
	Reason        string        `json:"reason"`
	Rule          string        `json:"rule,omitempty"` // that decided; none where no rule did
	Location      string        `json:"location,omitempty"`
	Policy        policy.Status `json:"policy"`
	Image         string        `json:"image,omitempty"`
	// Contributions are all that rules said of the profile, that which decided
	// first.
	Contributions []policy.Contribution `json:"contributions"`
	Facts         []usedFact            `json:"facts"`
	// Changes are single changes of the situation that would turn the decision, as
	// evaluated.
	Changes []change       `json:"changes"`
	Holds   []holdView     `json:"holds"`
	Sweep   []sweepView    `json:"sweep"`
	Alarms  []policy.Alarm `json:"alarms"` // about the profile, the container or the policy
	Now     nowView        `json:"now"`
	// LastBoot is what the ledger has of the newest boot, LastGood of the newest that
	// started the profile.
	LastApply *bootView `json:"last_apply,omitempty"` // of a command on the running container, where it came after the last boot
	LastBoot  *bootView `json:"last_boot,omitempty"`
	LastGood  *bootView `json:"last_good_boot,omitempty"`
	Boots     int       `json:"boots"` // that the ledger knows
	Changed   []string  `json:"changed_since_last_good_boot"`
	Trace     string    `json:"trace,omitempty"`
}

// A holdView is one hold, with how to be rid of it.
type holdView struct {
	Rule     string   `json:"rule"`
	Location string   `json:"location"`
	Reason   string   `json:"reason"`
	Until    string   `json:"until,omitempty"`
	State    string   `json:"state"`   // "holds", "waived", "over" or "not enforced"
	Release  []string `json:"release"` // ways to end it
}

// A sweepView is one runtime file that was removed, or would be.
type sweepView struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
	When   string `json:"when"`
}

// A nowView is what runs, as far as it can be seen.
type nowView struct {
	Slot     string   `json:"slot"`
	ServedBy string   `json:"served_by,omitempty"`
	Notes    []string `json:"notes"`
}

func newExplain() *cobra.Command {
	var trace bool
	var input string
	cmd := &cobra.Command{
		Use:   "explain PROFILE",
		Short: "Say why a profile is up or down, what would change it, and what has changed",
		Long: `Decide now as a boot would, and say why: the rule that decided and where it
stands, what else rules said, the facts that they read and who could have written
them, which single change would turn the decision, what the last boots did, and
what has changed since the last one that started the profile. Nothing is touched.`,
		Example: `  hermes-reconcile explain coder
  hermes-reconcile explain coder --trace          # every step of the rules
  hermes-reconcile explain coder --input saved.json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeProfiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			return explain(cmd, args[0], input, trace)
		},
	}
	cmd.Flags().BoolVar(&trace, "trace", false, "also print every step of the rules that said something of the profile, and what they print()")
	cmd.Flags().StringVar(&input, "input", "", "explain a saved input document (- is standard input)")
	return cmd
}

func explain(cmd *cobra.Command, profile, input string, trace bool) error {
	c, err := loadConfig(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), c.Boot.Deadline)
	defer cancel()
	evaluator, err := loadOrFallBack(c)
	if err != nil {
		return &exitError{exitPolicy, err}
	}
	s, lines, err := explainSituation(ctx, c, input, profile, cmd)
	if err != nil {
		return err
	}
	if _, err := only(s.input.Profiles, []string{profile}); err != nil {
		return err
	}
	x := &explainer{config: c, profile: profile, situation: s, lines: lines, release: hasCommand(cmd.Root(), "release")}
	x.decisions, x.evaluator = decideWithFallback(ctx, c, evaluator, s.input)
	noteVolume(&x.decisions, s)
	log := newLogger(c, cmd.ErrOrStderr())
	if input == "" {
		if x.noSlot, err = x.getsNoSlot(ctx, log); err != nil {
			log.Warn("what a boot would do to slots", "err", err)
		}
	}
	e, err := x.explain(ctx)
	if err == nil && trace {
		e.Trace, err = x.trace(ctx)
	}
	if err != nil {
		return &exitError{exitPolicy, err}
	}
	if c.Output != "table" {
		err = writeDocument(cmd.OutOrStdout(), c.Output, e)
	} else {
		err = writeExplanation(cmd.OutOrStdout(), e)
	}
	if err != nil {
		return &exitError{exitProfile, err}
	}
	if x.decisions.Policy.Fallback {
		return &exitError{exitPolicy, nil} // the explanation has an alarm that says why
	}
	return trouble(x.decisions, s)
}

func hasCommand(root *cobra.Command, name string) bool {
	return slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
}

// explainSituation collects the facts and the ledger. A ledger that cannot be read
// leaves the explanation without its history, and says so.
func explainSituation(ctx context.Context, c config, input, profile string, cmd *cobra.Command) (situation, []ledger.Line, error) {
	if input != "" {
		in, err := readInput(input, cmd.InOrStdin())
		return situation{input: in}, nil, err
	}
	side, err := openSide(c, policy.PhaseBoot)
	if err != nil {
		return situation{}, nil, &exitError{exitProfile, err}
	}
	defer side.Close()
	s := collect(ctx, c, side, policy.PhaseBoot)
	lines, err := side.Ledger(ctx, profile)
	if err != nil {
		newLogger(c, cmd.ErrOrStderr()).Warn("the ledger", "err", err)
	}
	return s, lines, nil
}

// An explainer has what an explanation is made of.
type explainer struct {
	config    config
	profile   string
	situation situation
	lines     []ledger.Line
	release   bool // there is a command release
	evaluator *rego.Evaluator
	decisions policy.Decisions
	noSlot    bool // it is decided to have one, and would not get it
}

// getsNoSlot says that the profile is decided to have a slot, has none, and would get none.
// Why stands in an alarm.
func (x *explainer) getsNoSlot(ctx context.Context, log *slog.Logger) (bool, error) {
	if len(x.decisions.Skip) > 0 || x.decisions.Profiles[x.profile].Action == policy.ActionSkip || x.slot() != noSlot {
		return false, nil
	}
	executor, err := newExecutor(x.config, log)
	if err != nil {
		return false, err
	}
	_, executor.Prune = x.situation.gone()
	operations, err := plan(ctx, executor, &x.decisions)
	return err == nil && !slices.ContainsFunc(operations, func(op policy.Operation) bool {
		return op.Op == policy.OpPublish && op.Profile == x.profile
	}), err
}

// noSlot is what is said of a profile that has none now.
const noSlot = "none"

func (x *explainer) explain(ctx context.Context) (*explanation, error) {
	schema, err := inputSchema()
	if err != nil {
		return nil, err
	}
	d := x.decisions.Profiles[x.profile]
	by, decided := decidedBy(d, x.decisions.Skip)
	e := &explanation{
		SchemaVersion: policy.SchemaVersion, Profile: x.profile, Action: d.Action, Code: d.Code, Reason: d.Reason,
		Rule: by.Rule, Location: by.Location, Policy: x.decisions.Policy,
		Image:         factString(x.situation.input.Container["image"], "version"),
		Contributions: x.contributions(by, decided),
		Alarms:        x.alarms(), Holds: x.holds(d), Now: x.now(d),
	}
	e.Sentence = fmt.Sprintf("%s: %s (%s): %s", x.profile, strings.ToUpper(string(d.Action)), d.Code, d.Reason)
	if x.noSlot {
		e.Sentence += "; and yet it gets no slot, see alarm"
	}
	e.Facts = x.facts(e.Contributions, schema)
	e.Changes = x.changes(ctx, d, e.Facts)
	x.history(e)
	e.Sweep = x.sweeps(d, e.LastBoot)
	return e, nil
}

// contributions returns those of the profile and of the container, that which
// decided first.
func (x *explainer) contributions(by policy.Contribution, decided bool) []policy.Contribution {
	all := slices.Concat(x.decisions.Skip, x.decisions.Profiles[x.profile].Contributions)
	if !decided {
		return append([]policy.Contribution{}, all...)
	}
	rest := slices.DeleteFunc(slices.Clone(all), func(c policy.Contribution) bool { return c.Rule == by.Rule && c.Compare(by) == 0 })
	return append([]policy.Contribution{by}, rest...)
}

func (x *explainer) alarms() []policy.Alarm {
	alarms := []policy.Alarm{}
	for _, a := range x.decisions.Alarms {
		if a.Profile == "" || a.Profile == x.profile {
			alarms = append(alarms, a)
		}
	}
	return alarms
}

func (x *explainer) holds(d policy.Decision) []holdView {
	views := []holdView{}
	waivedBy := map[string]string{}
	for _, c := range d.Contributions {
		if c.Set == policy.SetWaive && c.Counts() {
			waivedBy[c.Waives] = c.Reason
		}
	}
	for _, c := range d.Contributions {
		if c.Set != policy.SetHold {
			continue
		}
		v := holdView{Rule: c.Rule, Location: c.Location, Reason: c.Reason, Until: c.Until, State: "holds", Release: []string{}}
		switch {
		case !c.Counts():
			v.State = "not enforced"
		case waivedBy[c.Rule] != "":
			v.State = "waived"
		case engine.Over(c, x.situation.input.Now):
			v.State = "over"
		default:
			v.Release = x.waysToRelease(c)
		}
		views = append(views, v)
	}
	return views
}

func (x *explainer) waysToRelease(c policy.Contribution) []string {
	var ways []string
	if c.Until != "" {
		ways = append(ways, "by itself at "+c.Until)
	}
	if x.release {
		ways = append(ways, "hermes-reconcile release "+x.profile)
	}
	member, err := json.Marshal(struct {
		Profile string `json:"profile"`
		Rule    string `json:"rule"`
		Reason  string `json:"reason"`
	}{x.profile, c.Rule, "why"})
	if err == nil {
		ways = append(ways, "a rule of yours: waive contains "+string(member)+" if true")
	}
	return append(ways, fmt.Sprintf("for every profile: settings: {disabled_rules: [%s]}", cmp.Or(strings.TrimPrefix(c.Rule, "reconcile.rules."), c.Rule)))
}

// now says what can be seen to run.
func (x *explainer) now(d policy.Decision) nowView {
	v := nowView{Slot: x.slot(), Notes: []string{}}
	if d.Code == "multiplexed" {
		v.ServedBy = policy.RootProfile
	}
	var files struct {
		Lock struct{ Held bool }
	}
	facts := x.situation.input.Profiles[x.profile]
	if json.Unmarshal(facts["runtime_files"], &files) == nil && files.Lock.Held {
		v.Notes = append(v.Notes, "somebody holds its gateway.lock: a gateway of it runs, here or in another container")
	}
	for _, name := range x.sharers(facts) {
		v.Notes = append(v.Notes, fmt.Sprintf("has a credential in common with %s: only one of them can use it", name))
	}
	return v
}

func (x *explainer) slot() string {
	var s6 struct {
		Status string
		Slots  map[string]struct {
			DownFile bool `json:"down_file"`
			Up       bool
			PID      int
		}
	}
	if json.Unmarshal(x.situation.input.Container["s6"], &s6) != nil {
		return "unknown"
	}
	slot, ok := s6.Slots["gateway-"+x.profile]
	switch {
	case s6.Status != policy.StatusRecorded:
		return "unknown: the scan directory is " + cmp.Or(s6.Status, "not known")
	case !ok:
		return noSlot
	case slot.Up:
		return fmt.Sprintf("up (pid %d)", slot.PID)
	case slot.DownFile:
		return "down, and stays down"
	}
	return "down, and starts with its supervisor"
}

// sharers names the other profiles that have one of the profile's credentials.
func (x *explainer) sharers(facts policy.Facts) []string {
	mine := fingerprints(facts)
	var names []string
	for name, others := range x.situation.input.Profiles {
		if name != x.profile && slices.ContainsFunc(fingerprints(others), func(f string) bool { return slices.Contains(mine, f) }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func fingerprints(facts policy.Facts) []string {
	var tokens struct {
		Tokens []struct{ Fingerprint, Scope string }
	}
	if json.Unmarshal(facts["tokens"], &tokens) != nil {
		return nil
	}
	var all []string
	for _, t := range tokens.Tokens {
		if t.Fingerprint != "" {
			all = append(all, t.Scope+" "+t.Fingerprint)
		}
	}
	return all
}

// trace runs the rules that said something of the profile once more, step by step.
func (x *explainer) trace(ctx context.Context) (string, error) {
	var rules []string
	for _, c := range slices.Concat(x.decisions.Skip, x.decisions.Profiles[x.profile].Contributions) {
		rules = append(rules, c.Rule)
	}
	for _, a := range x.decisions.Alarms {
		rules = append(rules, a.Rule) // also those that broke
	}
	c := x.config
	options, err := policyOptions(c)
	if err != nil {
		return "", err
	}
	options.Print = true
	evaluator, err := rego.LoadOrFallBack(layers(c), options, func() (*rego.LastGood, error) { return rego.ReadLastGood(c.StateDir) })
	if err != nil {
		return "", err
	}
	in := x.situation.input
	in.Decisions = map[string]policy.Verdict{}
	for name, d := range x.decisions.Profiles {
		in.Decisions[name] = policy.Verdict{Action: d.Action, Code: d.Code}
	}
	var text strings.Builder
	err = evaluator.Trace(ctx, rules, in, x.profile, &text)
	return text.String(), err
}
