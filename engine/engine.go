// Package engine turns profiles into a plan:
//
//	profiles -> facts -> input -> contributions -> decisions -> plan
//
// It holds the steps and the interfaces of what is plugged in; it knows neither
// the files of a home nor the policy language nor the supervisor. Nothing here
// changes the file system: that is the executors' part, and the caller decides
// whether they act.
package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hermes-reconcile/policy"
)

// A Home finds the profiles on the volume.
type Home interface {
	// Profiles returns the root profile and every candidate, sorted by name.
	// What cannot be listed is a fact of the source that Home brings itself,
	// not an error: the root profile is always there.
	Profiles(ctx context.Context) ([]policy.Profile, error)
	// Open opens the directory of a profile without following a link. The
	// caller calls the returned function when it is done.
	Open(p policy.Profile) (policy.Directory, func(), error)
}

// An Evaluator runs the rule packages of a stage over the input document. It
// never fails as a whole: a package that breaks is a RuleFailure, and the other
// packages still count.
type Evaluator interface {
	Evaluate(ctx context.Context, stage policy.Stage, in policy.Input) policy.Evaluation
	// Status says which policy this is.
	Status() policy.Status
}

// Decide evaluates the rules over the input document and combines what they
// contribute: first the packages of policy.StageRules together, then those of
// policy.StageAfter one by one. Each of these sees the decisions as they are by then. The
// result has no plan yet.
func Decide(ctx context.Context, e Evaluator, in policy.Input, onRuleError OnRuleError) policy.Decisions {
	blind := blindRules(e.Status(), in, onRuleError)
	all := withoutBlind(e.Evaluate(ctx, policy.StageRules, in), blind)
	all.Failures = append(all.Failures, blind...)
	decisions := Combine(in, all, onRuleError)
	for _, name := range e.Status().After {
		in.Decisions = Verdicts(decisions)
		one := withoutBlind(e.Evaluate(ctx, policy.Stage(name), in), blind)
		if len(one.Contributions)+len(one.Failures) == 0 {
			continue
		}
		all.Contributions = append(all.Contributions, one.Contributions...)
		all.Failures = append(all.Failures, one.Failures...)
		decisions = Combine(in, all, onRuleError)
	}
	decisions.Alarms = append(decisions.Alarms, nobodyLeft(in, decisions, e.Status().After)...)
	decisions.Policy = e.Status()
	return decisions
}

// Verdicts returns what the packages of policy.StageAfter see of decisions.
func Verdicts(d policy.Decisions) map[string]policy.Verdict {
	v := make(map[string]policy.Verdict, len(d.Profiles))
	for name, decision := range d.Profiles {
		v[name] = policy.Verdict{Action: decision.Action, Code: decision.Code}
	}
	return v
}

// blindRules returns the packages that read facts of a plug-in which failed. A plug-in that
// failed decides nothing, so such a package counts as one that broke: its holds are unknown.
// With IgnoreRuleError the package decides itself, by the status of the plug-in.
func blindRules(s policy.Status, in policy.Input, onRuleError OnRuleError) []policy.RuleFailure {
	if len(s.External) == 0 || onRuleError != HoldOnRuleError {
		return nil
	}
	var blind []policy.RuleFailure
	failed := policy.FailedPlugins(in.Container)
	for _, rule := range slices.Sorted(maps.Keys(s.External)) {
		var why []string
		for _, plugin := range slices.Sorted(maps.Keys(failed)) {
			reads := s.External[rule]
			if plugin == policy.AnyPlugin || slices.Contains(reads, plugin) || slices.Contains(reads, policy.AnyPlugin) {
				why = append(why, plugin+" "+failed[plugin])
			}
		}
		if len(why) > 0 {
			text := "it reads facts of plug-ins that gave none: " + strings.Join(why, "; ")
			blind = append(blind, policy.RuleFailure{Rule: rule, Error: text, Blind: true})
		}
	}
	return blind
}

// withoutBlind drops what the packages contributed, but for their alarms and rechecks.
func withoutBlind(e policy.Evaluation, blind []policy.RuleFailure) policy.Evaluation {
	if len(blind) == 0 {
		return e
	}
	e.Contributions = slices.DeleteFunc(slices.Clone(e.Contributions), func(c policy.Contribution) bool {
		return c.Set != policy.SetAlarm && c.Set != policy.SetRecheck && slices.ContainsFunc(blind, func(f policy.RuleFailure) bool { return f.Rule == c.Rule })
	})
	return e
}

// CodeNobodyLeft is the code of the alarm about a token or a port whose claimants are all
// held, one of them for the sake of another.
const CodeNobodyLeft = "nobody_left"

// nobodyLeft raises that alarm. A profile is held for the sake of another by a package of
// policy.StageAfter, of which after has the names.
func nobodyLeft(in policy.Input, d policy.Decisions, after []string) (alarms []policy.Alarm) {
	if len(after) == 0 {
		return nil
	}
	claimants, free, yielded := map[string][]string{}, map[string]bool{}, map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(in.Profiles)) {
		holds := Holds(d.Profiles[name], in.Now)
		yields := slices.ContainsFunc(holds, func(c policy.Contribution) bool { return slices.Contains(after, c.Rule) })
		for _, thing := range policy.Claims(in.Profiles[name]) {
			claimants[thing] = append(claimants[thing], name)
			free[thing] = free[thing] || len(holds) == 0
			yielded[thing] = yielded[thing] || yields
		}
	}
	for _, thing := range slices.Sorted(maps.Keys(yielded)) {
		if yielded[thing] && !free[thing] {
			alarms = append(alarms, policy.Alarm{Code: CodeNobodyLeft, Reason: fmt.Sprintf("nobody uses %s: all that claim it are held (%s)", thing, strings.Join(claimants[thing], ", "))})
		}
	}
	return alarms
}
