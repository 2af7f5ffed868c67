package process

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"time"

	"hermes-reconcile/engine/child"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/bundle"
)

// A Policy is a policy that is loaded, as an engine.Evaluator.
type Policy struct {
	loaded
	rules    *Rules
	choice   bundle.Choice
	here     *rego.Evaluator      // built-in rules alone; nil: the child has loaded the policy
	failures []policy.RuleFailure // of the rules that it replaces, which are not known
	copies   *Policy              // decides in place of packages that broke; may be nil
}

// Status identifies the policy.
func (p *Policy) Status() policy.Status { return p.loaded.Status }

// Setting returns the value of a setting, as text; "" is none.
func (p *Policy) Setting(key string) string {
	value, known := p.Settings[key]
	if !known {
		return ""
	}
	return fmt.Sprint(value)
}

// Mask masks events of the decision log; see rego.Evaluator. Its error means that none of them
// may be shown.
func (p *Policy) Mask(ctx context.Context, events [][]byte) ([][]byte, error) {
	switch {
	case len(p.failures) > 0:
		return nil, errors.New("the rules that mask cannot be used")
	case !p.Masks:
		return events, nil
	}
	p.rules.mutex.Lock()
	defer p.rules.mutex.Unlock()
	if err := p.rules.ready(ctx, p); err != nil {
		return nil, err
	}
	masked := [][]byte(nil)
	err := p.rules.ask(ctx, p.rules.settings.Timeout+grace,
		func(c *peer) error { return c.stream.Write(request{Mask: p.choice}, events...) }, 1,
		func(_ answer, texts [][]byte) error {
			if masked = texts; len(masked) != len(events) {
				return errors.New("not all events are masked")
			}
			return nil
		})
	if ended, ok := errors.AsType[*endedError](err); ok {
		err = errors.New(ended.words(p.rules.settings.Timeout, p.rules.settings.Memory))
	}
	if err != nil {
		return nil, err
	}
	return masked, nil
}

// A Part is a policy of which some packages decide.
type Part struct {
	Choice   bundle.Choice
	Packages []string
}

// Parts tells of what the policy consists.
func (p *Policy) Parts() []Part {
	part := Part{Choice: p.choice}
	for _, one := range p.Packages {
		part.Packages = append(part.Packages, one.Name)
	}
	if p.copies == nil {
		return []Part{part}
	}
	return append([]Part{part}, p.copies.Parts()...)
}

// grace is how long the child may take to report a package that has used up its time.
const grace = time.Second

// Evaluate runs every package of the stage, or the one of that name, over the input document,
// as rego.Evaluator does.
// A package that ends the child, or does not end itself, has failed too, and the other
// packages count. All of that takes at most half of the time that ctx has left. A package
// that was not reached by then has failed.
//
// The caller does not change the facts of a document between two calls.
func (p *Policy) Evaluate(ctx context.Context, stage policy.Stage, in policy.Input) policy.Evaluation {
	all := p.evaluate(ctx, stage, in)
	if stage == policy.StageRules {
		all.Failures = append(all.Failures, p.failures...)
	}
	if p.copies != nil {
		more := p.copies.evaluate(ctx, stage, in)
		all.Contributions = append(all.Contributions, more.Contributions...)
		all.Failures = append(all.Failures, more.Failures...)
	}
	return all
}

func (p *Policy) evaluate(ctx context.Context, stage policy.Stage, in policy.Input) policy.Evaluation {
	if p.here != nil {
		return p.here.Evaluate(ctx, stage, in)
	}
	r := &run{Policy: p, in: in, results: map[string]policy.Evaluation{}, suspects: map[string]bool{}}
	for _, one := range p.Packages {
		if one.Belongs(stage) {
			r.packages = append(r.packages, one)
		}
	}
	if len(r.packages) == 0 {
		return policy.Evaluation{}
	}
	p.rules.mutex.Lock()
	defer p.rules.mutex.Unlock()
	budget, cancel := context.WithTimeoutCause(ctx, left(ctx)/2, errors.New("no time left"))
	defer cancel()
	err := r.all(budget)
	var all policy.Evaluation
	for _, one := range r.packages {
		result, done := r.results[one.Name]
		if !done && err == nil {
			result = failure(one, "not evaluated: "+context.Cause(budget).Error())
		}
		for i := range result.Contributions {
			result.Contributions[i].Layer = one.Layer
		}
		all.Contributions = append(all.Contributions, result.Contributions...)
		all.Failures = append(all.Failures, result.Failures...)
		for _, line := range result.Printed { // none without Print
			fmt.Fprintln(p.rules.Print, policy.Line(line))
		}
	}
	if err != nil {
		all.Failures = append(all.Failures, policy.RuleFailure{Rule: "reconcile", Error: err.Error()})
	}
	return all
}

func failure(p rego.Package, why string) policy.Evaluation {
	return policy.Evaluation{Failures: []policy.RuleFailure{{Rule: p.Name, Error: why, NotEnforced: p.WarnOnly}}}
}

// A run is one evaluation of a stage.
type run struct {
	*Policy
	in       policy.Input
	packages []rego.Package               // of the stage
	results  map[string]policy.Evaluation // by package
	suspects map[string]bool              // packages that may have ended the child
}

// all evaluates all packages, first as many at once as there are processors. When one ends the
// child, the rest is evaluated all at once, so that packages that hang do not keep the others
// waiting. Packages that may have been under way when the child ended are suspects: each of them
// is evaluated alone, after the others. One that was alone is to blame. It ends early with ctx.
// The error is that nothing can be evaluated.
func (r *run) all(ctx context.Context) error {
	atOnce := runtime.GOMAXPROCS(0)
	for groups := [][]rego.Package{r.packages}; len(groups) > 0; atOnce = len(r.packages) {
		group := groups[0]
		groups = groups[1:]
		err := r.together(ctx, group, atOnce)
		ended, ok := errors.AsType[*endedError](err)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !ok {
			return err
		}
		left := slices.DeleteFunc(slices.Clone(group), r.done)
		suspects := left[:min(atOnce, len(left))]
		if rest := left[len(suspects):]; len(rest) > 0 {
			groups = slices.Insert(groups, 0, rest)
		}
		for _, one := range suspects {
			if len(suspects) == 1 && (ended.why != endedByOthers || r.suspects[one.Name]) {
				r.results[one.Name] = failure(one, ended.words(r.rules.settings.Timeout, r.rules.settings.Memory))
				continue
			}
			r.suspects[one.Name] = true
			groups = append(groups, []rego.Package{one})
		}
	}
	return nil
}

func (r *run) done(p rego.Package) bool {
	_, done := r.results[p.Name]
	return done
}

// together evaluates a group.
func (r *run) together(ctx context.Context, group []rego.Package, atOnce int) error {
	if err := r.rules.ready(ctx, r.Policy); err != nil {
		return err
	}
	asked := evaluation{Choice: r.choice, AtOnce: atOnce, Decisions: r.in.Decisions}
	for _, one := range group {
		asked.Packages = append(asked.Packages, one.Name)
	}
	return r.rules.ask(ctx, r.rules.settings.Timeout+grace,
		func(c *peer) error {
			return errors.Join(c.send(r.in), c.stream.Write(request{Evaluate: &asked}))
		},
		len(group),
		func(a answer, texts [][]byte) error {
			if _, twice := r.results[a.Package]; twice || !slices.Contains(asked.Packages, a.Package) {
				return errors.New("an answer about a package that was not asked for")
			}
			var result policy.Evaluation
			err := attached(texts, &result)
			if err == nil {
				r.results[a.Package] = result
			}
			return err
		})
}

// send sends the facts, unless the child has them.
func (c *peer) send(in policy.Input) error {
	in.Decisions = nil
	if c.document != nil && same(*c.document, in) {
		return nil
	}
	c.document = &in
	header := in
	header.Container, header.Profiles = nil, nil
	err := c.stream.Write(request{Document: &header}, child.Texts(in.Container)...)
	for name, facts := range in.Profiles {
		err = errors.Join(err, c.stream.Write(request{Profile: &name}, child.Texts(facts)...))
	}
	return err
}

// same reports whether two documents are one: their maps are the same maps.
func same(a, b policy.Input) bool {
	is := func(a, b any) bool { return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() }
	return a.SchemaVersion == b.SchemaVersion && a.Phase == b.Phase && a.Now == b.Now && is(a.Container, b.Container) && is(a.Profiles, b.Profiles)
}
