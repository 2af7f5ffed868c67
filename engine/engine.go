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
