package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// decide decides on the facts, for the profiles in running as if an operator wanted them
// to run.
func (p *pass) decide(ctx context.Context, running []string) {
	in := p.report.Input
	if len(running) > 0 {
		in.Profiles = maps.Clone(in.Profiles)
		for _, name := range running {
			in.Profiles[name] = policy.WithDesiredState(in.Profiles[name], engine.IntentRunning, in.Now)
		}
	}
	d := engine.Decide(ctx, p.evaluator, in, p.OnRuleError)
	p.report.Evaluator = p.evaluator
	if broken := Broken(d); len(broken) > 0 && p.FallBack && ctx.Err() == nil && !d.Policy.Fallback {
		if again, rules := p.decideWithLastGood(ctx, d.Policy.Revision, in); rules != nil {
			again.Policy.Errors = broken
			d, p.report.Evaluator = again, rules
		}
	}
	if d.Policy.Fallback {
		d.Alarms = append(d.Alarms, policy.Alarm{
			Code: policy.CodePolicyFallback, Reason: WhoDecides(d.Policy) + ": " + strings.Join(d.Policy.Errors, "; "),
		})
	}
	for _, reason := range d.Policy.Untrusted {
		d.Alarms = append(d.Alarms, policy.Alarm{Code: policy.CodeUntrusted, Reason: reason})
	}
	d.Alarms = append(d.Alarms, p.Alarms...)
	d.Alarms = append(d.Alarms, p.report.Situation.Alarms()...)
	d.Alarms = append(d.Alarms, p.rulesGone()...)
	p.report.decided(d)
}

// decideWithLastGood decides with the last good copy of the rules and returns them. They
// are nil when there is no other copy, or when one of its rules breaks too.
func (p *pass) decideWithLastGood(ctx context.Context, revision string, in policy.Input) (policy.Decisions, engine.Evaluator) {
	rules, ok := p.Rules.LastGood(ctx, revision)
	if !ok {
		return policy.Decisions{}, nil
	}
	d := engine.Decide(ctx, rules, in, p.OnRuleError)
	if len(Broken(d)) > 0 {
		return policy.Decisions{}, nil
	}
	return d, rules
}

// rulesGone raises the alarm policy.CodePolicyGone for a boot and for whoever shows what a
// boot would do.
func (p *pass) rulesGone() []policy.Alarm {
	if p.Phase != policy.PhaseBoot && !p.FallBack {
		return nil
	}
	gone := p.Rules.Gone()
	if len(gone) == 0 {
		return nil
	}
	return []policy.Alarm{{Code: policy.CodePolicyGone, Reason: fmt.Sprintf(
		"the built-in rules decide alone: at the last good boot there were rules in %s, and there are none now", strings.Join(gone, "; "))}}
}

// Broken returns the reasons of the rules that broke, of those that count.
func Broken(d policy.Decisions) []string {
	var broken []string
	for _, a := range d.Alarms {
		if a.Code == policy.CodeRuleError {
			broken = append(broken, a.Reason)
		}
	}
	return broken
}

// WhoDecides names the rules that decide under a fallback.
func WhoDecides(s policy.Status) string {
	if copied, ok := strings.CutPrefix(s.Source, "built-in, "); ok {
		return "the " + copied + " decides"
	}
	return "the built-in rules decide alone"
}

// restrict keeps the decisions about the named profiles. A slot of ours whose profile is
// gone may be named too.
func (p *pass) restrict(names []string) error {
	if len(names) == 0 {
		return nil
	}
	d := &p.report.Decisions
	slots := p.report.Slots.ByProfile()
	if err := known(names, slices.Collect(maps.Keys(d.Profiles)), slots); err != nil {
		return p.report.OrUncertain(err)
	}
	some := map[string]policy.Decision{}
	for _, name := range names {
		decision, ok := d.Profiles[name]
		if why := p.report.Uncertain(); !ok && why != "" {
			return fmt.Errorf("profile %s: whether it is gone is not known: %s", name, why)
		}
		if !ok {
			decision = policy.Decision{Action: policy.ActionSkip, Code: CodeNoProfile, Reason: "there is no such profile"}
		}
		if why, unread := p.report.Input.Unread[name]; unread && decision.Undecided {
			p.problem(name, fmt.Errorf("profile %s: whether it is gone is not known: %s", name, why))
		}
		some[name] = decision
	}
	d.Profiles = some
	p.report.Alarms = slices.DeleteFunc(p.report.Alarms, func(a policy.Alarm) bool { return a.Profile != "" && some[a.Profile].Action == "" })
	return nil
}

// CodeNoProfile is the code of a slot without a profile.
const CodeNoProfile = "no_profile"

// announce logs the alarms, and loudly that the operator's rules did not decide.
func (p *pass) announce() {
	if p.report.Decisions.Policy.Fallback {
		p.rulesProblem("policy fallback: "+WhoDecides(p.report.Decisions.Policy), strings.Join(p.report.Decisions.Policy.Errors, "; "))
	}
	for _, a := range ledger.FewAlarms(p.report.Alarms) {
		switch a.Code {
		case policy.CodeRuleError:
			p.rulesProblem("a rule broke", a.Reason)
		case policy.CodePolicyFallback: // logged above
		default:
			p.Log.Warn("alarm", "profile", a.Profile, "code", a.Code, "reason", a.Reason)
		}
	}
}
