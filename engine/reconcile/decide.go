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

// decide decides on the facts. If the request records that the named profiles are to run, it
// decides as if that were recorded already.
func (p *pass) decide(ctx context.Context, names []string) {
	in := p.report.Input
	if p.Request.records() {
		in.Profiles = maps.Clone(in.Profiles)
		for _, name := range names {
			in.Profiles[name] = policy.WithDesiredState(in.Profiles[name], engine.IntentRunning, in.Now)
		}
	}
	d := engine.Decide(ctx, p.evaluator, in, p.OnRuleError)
	p.report.Evaluator = p.evaluator
	if broken := Broken(d); len(broken) > 0 && p.FallBack && ctx.Err() == nil && !d.Policy.Fallback {
		again, rules, err := p.decideWithCopies(ctx, d, in)
		if err != nil {
			d.Alarms = append(d.Alarms, policy.Alarm{Code: policy.CodePolicyFallback, Reason: err.Error()})
		}
		if rules != nil {
			again.Policy.Errors = broken
			d, p.report.Evaluator = again, rules
		}
	}
	if d.Policy.Fallback {
		code := policy.CodePolicyFallback
		if len(d.Policy.Gone) > 0 {
			code = policy.CodePolicyGone
		}
		d.Alarms = append(d.Alarms, policy.Alarm{Code: code, Reason: WhoDecides(d.Policy) + ": " + strings.Join(d.Policy.Errors, "; ")})
	}
	for _, reason := range d.Policy.Untrusted {
		d.Alarms = append(d.Alarms, policy.Alarm{Code: policy.CodeUntrusted, Reason: reason})
	}
	d.Alarms = append(d.Alarms, p.Alarms...)
	d.Alarms = append(d.Alarms, p.report.Situation.Alarms()...)
	p.report.decided(d)
}

// decideWithCopies decides with the last good copies of the packages that broke, and returns
// those rules. They are nil when there are no copies, or when every copy breaks too. The error
// is about the copy.
func (p *pass) decideWithCopies(ctx context.Context, d policy.Decisions, in policy.Input) (policy.Decisions, engine.Evaluator, error) {
	broken := brokenRules(d)
	rules, err := p.Rules.Mended(ctx, p.evaluator, broken)
	if rules == nil {
		return policy.Decisions{}, nil, err
	}
	again := engine.Decide(ctx, rules, in, p.OnRuleError)
	if len(brokenRules(again)) >= len(broken) {
		return policy.Decisions{}, nil, nil
	}
	return again, rules, nil
}

// brokenRules returns the packages that broke, of those that count.
func brokenRules(d policy.Decisions) []string {
	var broken []string
	for _, a := range d.Alarms {
		if a.Code == policy.CodeRuleError && !slices.Contains(broken, a.Rule) {
			broken = append(broken, a.Rule)
		}
	}
	return broken
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

// WrongSettings reports whether a setting cannot be used.
func WrongSettings(d policy.Decisions) bool {
	return slices.ContainsFunc(d.Alarms, func(a policy.Alarm) bool { return a.Code == policy.CodeSettings })
}

// WhoDecides names the rules that decide under a fallback.
func WhoDecides(s policy.Status) string {
	if _, copied, ok := strings.Cut(s.Source, "last good copy"); ok {
		return "the last good copy" + copied + " decides"
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
	known := slices.AppendSeq(slices.Collect(maps.Keys(d.Profiles)), maps.Keys(p.report.Slots.ByProfile()))
	if err := engine.CheckNames(names, known); err != nil {
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
	fallback := p.report.Decisions.Policy.Fallback
	if fallback {
		p.rulesProblem("policy fallback: "+WhoDecides(p.report.Decisions.Policy), strings.Join(p.report.Decisions.Policy.Errors, "; "))
	}
	for _, a := range ledger.FewAlarms(p.report.Alarms) {
		switch {
		case a.Code == policy.CodeRuleError:
			p.rulesProblem("a rule broke", a.Reason)
		case a.Code == policy.CodeSettings:
			p.rulesProblem("a setting is not used", a.Reason)
		case fallback && (a.Code == policy.CodePolicyFallback || a.Code == policy.CodePolicyGone): // logged above
		default:
			p.Log.Warn("alarm", "profile", a.Profile, "code", a.Code, "reason", a.Reason)
		}
	}
}
