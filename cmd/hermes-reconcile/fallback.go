package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

// A boot must decide, whatever an operator's rules are like. Those that cannot be
// used, and those that break while they run, are replaced by the last good copy of
// them, and where there is none by the built-in rules. It is never done in
// silence.

// loadOrFallBack loads the rules that a boot would use.
func loadOrFallBack(c config) (*rego.Evaluator, error) {
	options, err := policyOptions(c)
	if err != nil {
		return nil, err
	}
	return rego.LoadOrFallBack(layers(c), options, func() (*rego.LastGood, error) { return rego.ReadLastGood(c.StateDir) })
}

// decideOrFallBack decides, and where a rule broke, with the last good copy of the
// rules, unless a rule of that breaks too. Then on_rule_error has decided.
func decideOrFallBack(ctx context.Context, c config, e *rego.Evaluator, in policy.Input) policy.Decisions {
	d, _ := decideWithFallback(ctx, c, e, in)
	return d
}

// decideWithFallback is decideOrFallBack, and returns the rules that decided.
func decideWithFallback(ctx context.Context, c config, e *rego.Evaluator, in policy.Input) (policy.Decisions, *rego.Evaluator) {
	d := engine.Decide(ctx, e, in, engine.OnRuleError(c.OnRuleError))
	if broken := brokenRules(d); len(broken) > 0 && ctx.Err() == nil && !d.Policy.Fallback {
		if again, rules := decideWithLastGood(ctx, c, d.Policy, in); rules != nil {
			again.Policy.Errors = broken
			d, e = again, rules
		}
	}
	noteFallback(&d)
	return d, e
}

// decideWithLastGood decides with the last good copy, and returns its rules. They are
// nil where there is no copy that differs, or where a rule of it breaks.
func decideWithLastGood(ctx context.Context, c config, now policy.Status, in policy.Input) (policy.Decisions, *rego.Evaluator) {
	copied, err := rego.ReadLastGood(c.StateDir)
	if err != nil || copied.Revision == now.Revision {
		return policy.Decisions{}, nil
	}
	options, err := policyOptions(c)
	if err != nil {
		return policy.Decisions{}, nil
	}
	e, err := copied.Load(rego.BuiltIn(), options)
	if err != nil {
		return policy.Decisions{}, nil
	}
	d := engine.Decide(ctx, e, in, engine.OnRuleError(c.OnRuleError))
	if len(brokenRules(d)) > 0 {
		return policy.Decisions{}, nil
	}
	return d, e
}

// brokenRules says which rules broke, of those that count.
func brokenRules(d policy.Decisions) []string {
	var broken []string
	for _, a := range d.Alarms {
		if a.Code == policy.CodeRuleError {
			broken = append(broken, a.Reason)
		}
	}
	return broken
}

// noteFallback shows in the document that other rules decided than those that are
// there.
func noteFallback(d *policy.Decisions) {
	if d.Policy.Fallback {
		d.Alarms = append(d.Alarms, policy.Alarm{
			Code: policy.CodePolicyFallback, Reason: fmt.Sprintf("%s: %s", whoDecides(d.Policy), join(d.Policy.Errors)),
		})
	}
}

// codePolicyGone says that there were rules of an operator at the last boot and that
// there are none now: they were taken away, or their directory was not mounted.
const codePolicyGone = "policy_gone"

// noteGone says once that the operator's rules are not there any more. Nothing else
// would: without a directory there is no rule that could be missed.
func noteGone(d *policy.Decisions, c config) {
	if len(c.Policy) > 0 {
		return
	}
	copied, err := rego.ReadLastGood(c.StateDir)
	if err != nil || len(copied.Directories()) == 0 {
		return
	}
	d.Alarms = append(d.Alarms, policy.Alarm{Code: codePolicyGone, Reason: fmt.Sprintf(
		"the built-in rules decide alone: at the last good boot there were rules in %s, and there are none now", join(copied.Directories()))})
}

func whoDecides(s policy.Status) string {
	if copied, ok := strings.CutPrefix(s.Source, "built-in, "); ok {
		return "the " + copied + " decides"
	}
	return "the built-in rules decide alone"
}

// keepPolicy saves the rules as the last good ones when they decided for every
// profile and none of them broke. Without that copy the boot is as good; only the
// next mistake costs more, and so it is a warning.
func (b *bootRun) keepPolicy(e *rego.Evaluator, s situation, d policy.Decisions) {
	good := !d.Policy.Fallback && len(brokenRules(d)) == 0 && s.complete()
	if !good || b.config.StateDir == "" {
		return
	}
	if err := e.Save(b.config.StateDir, time.Now()); err != nil {
		b.log.Warn("these rules are good, and cannot be kept as the last good ones", "state_dir", b.config.StateDir, "err", err)
	}
}
