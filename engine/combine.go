package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hermes-reconcile/policy"
)

// OnRuleError says what a rule package that broke means for the profiles.
type OnRuleError string

// The answers to a broken rule package.
const (
	// HoldOnRuleError starts nothing: the holds of the package are unknown.
	HoldOnRuleError OnRuleError = "hold"
	// IgnoreRuleError decides as if the package had nothing to say.
	IgnoreRuleError OnRuleError = "ignore"
)

// Combine makes one decision for every profile of the input document. It is
// total: whatever the rules contribute, each profile gets a decision. It does
// not depend on the order of the contributions.
//
//	skip of the container > skip of the profile > hold not waived > start > down
//
// A contribution that names an unknown profile, or a sweep of a file that the
// facts do not offer, is an alarm and has no other effect. Where several rules
// set a different delay, the longest wins; a different environment value,
// restart or seed, that of the highest layer, then of the first rule by name,
// with an alarm. A seed counts only where the facts know of no state file. Where a
// rule broke, nothing starts (with HoldOnRuleError); on a live tree nothing is
// stopped for it either.
func Combine(in policy.Input, e policy.Evaluation, onRuleError OnRuleError) policy.Decisions {
	contributions := slices.Clone(e.Contributions)
	slices.SortFunc(contributions, policy.Contribution.Compare)

	d := policy.Decisions{
		SchemaVersion: policy.SchemaVersion,
		Phase:         in.Phase,
		Profiles:      make(map[string]policy.Decision, len(in.Profiles)),
	}
	byProfile := make(map[string][]policy.Contribution, len(in.Profiles))
	for _, c := range contributions {
		_, known := in.Profiles[c.Profile]
		switch {
		case c.Profile == "" && c.Set == policy.SetSkip && !c.Counts():
			d.Alarms = append(d.Alarms, policy.Alarm{
				Rule: c.Rule, Code: policy.CodeNotEnforced,
				Reason: fmt.Sprintf("%s would skip the container, and is not enforced: %s (%s)", c.Rule, c.Reason, c.Location),
			})
		case c.Profile == "" && c.Set == policy.SetSkip:
			d.Skip = append(d.Skip, c)
		case c.Profile == "" && c.Set == policy.SetAlarm:
			d.Alarms = append(d.Alarms, alarmOf(c))
		case !known:
			d.Alarms = append(d.Alarms, policy.Alarm{
				Rule: c.Rule, Code: "unknown_profile",
				Reason: fmt.Sprintf("%s contributes %s for %q, which is no profile (%s)", c.Rule, c.Set, c.Profile, c.Location),
			})
		default:
			byProfile[c.Profile] = append(byProfile[c.Profile], c)
		}
	}
	var failures []policy.RuleFailure // of packages that count
	for _, f := range e.Failures {
		alarm := policy.Alarm{Rule: f.Rule, Code: policy.CodeRuleError, Reason: failureText(f)}
		if f.NotEnforced {
			alarm.Code = policy.CodeNotEnforced
		} else {
			failures = append(failures, f)
		}
		d.Alarms = append(d.Alarms, alarm)
	}

	broken := onRuleError == HoldOnRuleError && len(failures) > 0
	now := time.Unix(0, in.Now.UnixNS)
	var known recollection
	for _, name := range slices.Sorted(maps.Keys(in.Profiles)) {
		decision, alarms := combineProfile(name, known.of(in.Profiles[name]), byProfile[name], now)
		if len(d.Skip) > 0 {
			skipped(&decision, d.Skip[0])
		} else if broken {
			holdBroken(&decision, failures, in.Phase)
		}
		d.Profiles[name] = decision
		d.Alarms = append(d.Alarms, alarms...)
	}
	return d
}

func combineProfile(name string, facts knownFacts, contributions []policy.Contribution, now time.Time) (policy.Decision, []policy.Alarm) {
	d := policy.Decision{
		Contributions: contributions,
		PriorState:    facts.state.word(),
		PriorExit:     facts.exit,
	}
	var alarms []policy.Alarm
	alarm := func(c policy.Contribution, code, format string, args ...any) {
		alarms = append(alarms, policy.Alarm{Profile: name, Rule: c.Rule, Code: code, Reason: fmt.Sprintf(format, args...)})
	}

	all := contributions
	contributions = counting(all)
	decideAction(&d, contributions, facts.state, now)
	var offered map[string]policy.RuntimeFile
	if slices.ContainsFunc(contributions, func(c policy.Contribution) bool { return c.Set == policy.SetSweep }) {
		offered = runtimeFiles(facts.all)
	}
	for _, c := range all {
		if c.Set == policy.SetAlarm {
			alarms = append(alarms, alarmOf(c))
		}
	}
	for _, c := range contributions {
		switch c.Set {
		case policy.SetSweep:
			file, ok := offered[c.File]
			if !ok || !file.Sweepable {
				alarm(c, "sweep_refused", "%s wants to sweep %q, which the facts do not offer (%s)", c.Rule, c.File, c.Location)
				continue
			}
			if !slices.Contains(d.Sweep, c.File) {
				d.Sweep = append(d.Sweep, c.File)
				if d.Identities == nil {
					d.Identities = map[string]string{}
				}
				d.Identities[c.File] = file.Identity
			}
		case policy.SetDelay:
			d.DelaySeconds = max(d.DelaySeconds, c.Seconds)
		}
	}
	slices.Sort(d.Sweep)
	if d.Action == policy.ActionSkip {
		d.Sweep, d.Identities, d.DelaySeconds = nil, nil, 0
		return d, alarms
	}

	d.Env = resolveEnv(contributions, alarm)
	if c, ok := resolve(contributions, policy.SetRestart, "", alarm); ok {
		d.Restart = c.Restart
	}
	if c, ok := resolve(contributions, policy.SetSeed, "", alarm); ok && facts.state.known && facts.state.Status == policy.StatusMissing {
		d.Seed = &policy.Seed{State: c.State, MigratedFrom: c.MigratedFrom}
	}
	return d, alarms
}

// counting leaves out what has no effect because its package is only being tried.
func counting(contributions []policy.Contribution) []policy.Contribution {
	if !slices.ContainsFunc(contributions, func(c policy.Contribution) bool { return !c.Counts() }) {
		return contributions
	}
	return slices.DeleteFunc(slices.Clone(contributions), func(c policy.Contribution) bool { return !c.Counts() })
}

// decideAction applies skip > hold not waived > start > down; a hold whose time
// is over no longer holds. Where several contributions agree, the first by rule
// gives code and reason.
func decideAction(d *policy.Decision, contributions []policy.Contribution, state stateFact, now time.Time) {
	waived := waivedRules(contributions)
	first := map[policy.Set]*policy.Contribution{}
	for i := range contributions {
		c := &contributions[i]
		if c.Set == policy.SetHold && (waived[c.Rule] || over(*c, now)) {
			continue
		}
		if first[c.Set] == nil {
			first[c.Set] = c
		}
	}
	switch {
	case first[policy.SetSkip] != nil:
		set(d, policy.ActionSkip, first[policy.SetSkip], policy.CodeSkipped)
	case first[policy.SetHold] != nil:
		set(d, policy.ActionDown, first[policy.SetHold], "held")
	case first[policy.SetStart] != nil:
		set(d, policy.ActionStart, first[policy.SetStart], "started")
	default:
		d.Action, d.Code = policy.ActionDown, policy.CodeNoStartRule
		d.Reason = "no rule starts it; " + state.describe()
	}
}

// waivedRules are the rules whose holds do not count.
func waivedRules(contributions []policy.Contribution) map[string]bool {
	waived := map[string]bool{}
	for _, c := range contributions {
		if c.Set == policy.SetWaive {
			waived[c.Waives] = true
		}
	}
	return waived
}

// Holds are the holds that keep a profile down: those that count, are not waived, and
// have not ended.
func Holds(d policy.Decision, now policy.Now) []policy.Contribution {
	contributions := counting(d.Contributions)
	waived := waivedRules(contributions)
	var holds []policy.Contribution
	for _, c := range contributions {
		if c.Set == policy.SetHold && !waived[c.Rule] && !Over(c, now) {
			holds = append(holds, c)
		}
	}
	return holds
}

// Over says whether a hold has ended by itself.
func Over(c policy.Contribution, now policy.Now) bool { return over(c, time.Unix(0, now.UnixNS)) }

// over says whether the time of a hold has come; a hold without one has none.
func over(c policy.Contribution, now time.Time) bool {
	until, err := time.Parse(time.RFC3339, c.Until)
	return err == nil && !now.Before(until)
}

func set(d *policy.Decision, action policy.Action, c *policy.Contribution, code string) {
	if c.Code != "" {
		code = c.Code
	}
	d.Action, d.Code, d.Reason = action, code, c.Reason
}

// skipped makes a decision that of a container that supervises nothing.
func skipped(d *policy.Decision, c policy.Contribution) {
	set(d, policy.ActionSkip, &c, policy.CodeSkipped)
	d.Sweep, d.Identities, d.DelaySeconds, d.Env, d.Restart, d.Seed = nil, nil, 0, nil, nil, nil
}

// holdBroken keeps a profile from starting. On a live tree it also keeps what runs
// from being stopped: the rule that broke may have had a word for it. A hold or a skip
// of another rule counts.
func holdBroken(d *policy.Decision, failures []policy.RuleFailure, phase string) {
	if d.Action != policy.ActionStart && d.Code != policy.CodeNoStartRule {
		return
	}
	d.Undecided = phase != policy.PhaseBoot
	if d.Action != policy.ActionStart {
		return
	}
	texts := make([]string, len(failures))
	for i, f := range failures {
		texts[i] = failureText(f)
	}
	slices.Sort(texts)
	d.Action, d.Code = policy.ActionDown, policy.CodeRuleError
	d.Reason = fmt.Sprintf("would start (%s), but a rule broke and its holds are unknown: %s", d.Reason, strings.Join(texts, "; "))
}

func failureText(f policy.RuleFailure) string {
	if f.Location != "" {
		return fmt.Sprintf("%s: %s: %s", f.Location, f.Rule, f.Error)
	}
	return fmt.Sprintf("%s: %s", f.Rule, f.Error)
}

type alarmFunc func(c policy.Contribution, code, format string, args ...any)

// resolve picks the contribution of a set that wins, among those with the same
// name where there is one: the highest layer, then the first in order.
func resolve(contributions []policy.Contribution, set policy.Set, name string, alarm alarmFunc) (policy.Contribution, bool) {
	var winner policy.Contribution
	found := false
	for _, c := range contributions {
		if c.Set != set || c.Name != name {
			continue
		}
		if !found {
			winner, found = c, true
			continue
		}
		if sameValue(winner, c) {
			continue
		}
		loser := c
		if c.Layer > winner.Layer {
			winner, loser = c, winner
		}
		alarm(loser, "conflict", "%s and %s set a different %s; that of %s counts", winner.Rule, loser.Rule, strings.TrimSpace(string(set)+" "+name), winner.Rule)
	}
	return winner, found
}

func resolveEnv(contributions []policy.Contribution, alarm alarmFunc) map[string]string {
	var env map[string]string
	for _, c := range contributions {
		if c.Set != policy.SetEnv {
			continue
		}
		if _, done := env[c.Name]; done {
			continue
		}
		if env == nil {
			env = map[string]string{}
		}
		winner, _ := resolve(contributions, policy.SetEnv, c.Name, alarm)
		env[c.Name] = winner.Value
	}
	return env
}

func sameValue(a, b policy.Contribution) bool {
	x, errX := json.Marshal(a.Restart)
	y, errY := json.Marshal(b.Restart)
	return errX == nil && errY == nil && string(x) == string(y) &&
		a.Value == b.Value && a.State == b.State && a.MigratedFrom == b.MigratedFrom
}

func alarmOf(c policy.Contribution) policy.Alarm {
	return policy.Alarm{Profile: c.Profile, Code: c.Code, Reason: c.Reason, Rule: c.Rule}
}

// What the combination itself reads of a profile's facts.
type knownFacts struct {
	all   policy.Facts
	state stateFact
	exit  string // "unknown" where nothing says so
}

// A stateFact is the fact "prior_state".
type stateFact struct {
	known bool // it makes sense
	policy.PriorState
	Error string `json:"error"`
}

// A recollection has what was read by its text: thousands of profiles have the same.
type recollection struct {
	states map[string]stateFact
	exits  map[string]string
}

func (r *recollection) of(facts policy.Facts) knownFacts {
	if r.states == nil {
		r.states, r.exits = map[string]stateFact{}, map[string]string{}
	}
	k := knownFacts{all: facts}
	var ok bool
	text := facts["prior_state"]
	if k.state, ok = r.states[string(text)]; !ok {
		k.state = readState(text)
		r.states[string(text)] = k.state
	}
	text = facts["lifecycle"]
	if k.exit, ok = r.exits[string(text)]; !ok {
		k.exit = readExit(text)
		r.exits[string(text)] = k.exit
	}
	return k
}

func readState(text json.RawMessage) stateFact {
	var s stateFact
	if json.Unmarshal(text, &s) != nil {
		return stateFact{}
	}
	s.known = true
	return s
}

func (s stateFact) word() string {
	if !s.known {
		return "None"
	}
	return s.Word()
}

// describe says in words what the state file told: an operator who asks why a
// profile is down wants to know a file that makes no sense from one that says
// stopped.
func (s stateFact) describe() string {
	switch {
	case !s.known:
		return "nothing is known of its prior state"
	case s.Status == policy.StatusRecorded:
		return fmt.Sprintf("its prior state is %q", s.Word())
	case s.Status == policy.StatusMissing:
		return "it has no state yet"
	}
	return strings.TrimSuffix(fmt.Sprintf("its state file is %s: %s", strings.ReplaceAll(s.Status, "_", " "), s.Error), ": ")
}

func readExit(text json.RawMessage) string {
	var l policy.Lifecycle
	if json.Unmarshal(text, &l) != nil || l.Exit == "" {
		return "unknown"
	}
	return l.Exit
}

// runtimeFiles reads what the fact "runtime_files" offers for a sweep.
func runtimeFiles(facts policy.Facts) map[string]policy.RuntimeFile {
	var f struct {
		Files map[string]policy.RuntimeFile `json:"files"`
	}
	if json.Unmarshal(facts["runtime_files"], &f) != nil {
		return nil
	}
	return f.Files
}
