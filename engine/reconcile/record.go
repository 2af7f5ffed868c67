package reconcile

import (
	"context"
	"fmt"
	"slices"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// record writes the ledger, and at a boot the boot log. On a running container it leaves
// out the profiles that nothing was done about; a pass that did nothing leaves no line.
func (p *pass) record(ctx context.Context) {
	r := ledger.Pass{
		Command: p.Command, Cause: p.Cause, Input: p.report.Input, Decisions: p.report.Decisions, Alarms: p.report.Alarms,
		Results: p.report.Results, Errors: slices.Concat(p.Errors, p.report.Errors),
	}
	if p.LogDecisions != nil {
		p.LogDecisions(ctx, r, p.report.Evaluator)
	}
	if p.Phase == policy.PhaseBoot {
		if err := p.Volume.AppendLog(ctx, ledger.BootLogName, r.BootLog()); err != nil {
			p.problem("", fmt.Errorf("the boot log: %w", err))
			r.Errors = slices.Concat(p.Errors, p.report.Errors)
		}
	} else if r.Decisions.Profiles = p.changed(); r.Decisions.Profiles == nil {
		return
	}
	text, err := r.Text()
	if err == nil {
		err = p.Volume.AppendLog(ctx, r.File(), text)
	}
	if err != nil {
		p.problem("", fmt.Errorf("the ledger: %w", err))
	}
}

// changed returns the decisions about the profiles that something was done about; nil
// means that nothing was done at all.
func (p *pass) changed() map[string]policy.Decision {
	changed := map[string]bool{}
	for _, result := range p.report.Results {
		if result.Done || result.Err != nil {
			changed[result.Operation.Profile] = true
		}
	}
	for name, outcome := range p.report.Profiles {
		if outcome.Recorded {
			changed[name] = true
		}
	}
	if len(changed) == 0 {
		return nil
	}
	some := map[string]policy.Decision{}
	for name := range changed {
		if decision, ok := p.report.Decisions.Profiles[name]; ok {
			some[name] = decision
		}
	}
	return some
}

// keepRules saves the rules as the last good ones when they decided for every profile and
// none of them broke. Without the copy this boot is as good; only the next
// mistake costs more, so a failure is a warning.
func (p *pass) keepRules(ctx context.Context) {
	d := p.report.Decisions
	if p.Phase != policy.PhaseBoot && !p.KeepRules || p.evaluator == nil || d.Policy.Fallback || len(Broken(d)) > 0 || WrongSettings(d) || !p.report.Complete() {
		return
	}
	if err := p.Rules.Keep(ctx, p.evaluator); err != nil {
		p.Log.Warn("these rules are good, and cannot be kept as the last good ones", "err", err)
	}
}
