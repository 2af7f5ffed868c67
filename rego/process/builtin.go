package process

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/bundle"
)

// inChild reports whether a choice has rules of an operator. The built-in rules alone run in
// this process: they end, whatever the facts are, and a child takes half as long as a boot of
// 10 profiles to start.
func (r *Rules) inChild(choice bundle.Choice) bool {
	return choice == bundle.Copy || choice == bundle.Present && len(r.settings.Policy) > 0
}

// loadHere compiles the built-in rules in this process.
func (r *Rules) loadHere(choice bundle.Choice) (*Policy, error) {
	o := rego.Options{Timeout: r.settings.Timeout}
	if choice != bundle.BuiltInDefaults {
		values, err := rego.SettingsOf(r.settings.Text)
		if err != nil {
			return nil, err
		}
		o.Settings = values
	}
	e, err := bundle.Load(choice, rego.Layers(nil, r.settings.User), o, "")
	if err != nil {
		return nil, err
	}
	return &Policy{rules: r, choice: choice, packages: e.Packages(), status: e.Status(), here: e}, nil
}

// evaluateHere evaluates the packages of a stage in this process.
func (r *run) evaluateHere(ctx context.Context) (all policy.Evaluation) {
	document, err := r.rules.documentOf(r.in)
	if err != nil {
		return policy.Evaluation{Failures: []policy.RuleFailure{{Rule: "reconcile", Error: err.Error()}}}
	}
	results := make([]policy.Evaluation, len(r.packages))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, one := range r.packages {
		group.Go(func() error {
			results[i] = r.here.EvaluatePackage(ctx, one.Name, document)
			return nil
		})
	}
	_ = group.Wait()
	for _, one := range results {
		all.Contributions = append(all.Contributions, one.Contributions...)
		all.Failures = append(all.Failures, one.Failures...)
	}
	return all
}

// documentOf converts the facts of a document once for both stages.
func (r *Rules) documentOf(in policy.Input) (rego.Document, error) {
	verdicts := in.Decisions
	in.Decisions = nil
	if r.converted == nil || !same(*r.convertedFrom, in) {
		document, err := rego.NewDocument(in)
		if err != nil {
			return rego.Document{}, err
		}
		r.converted, r.convertedFrom = &document, &in
	}
	return r.converted.WithDecisions(verdicts), nil
}
