package rego

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"

	"hermes-reconcile/policy"
)

// Evaluate runs every package of the stage over the whole input document, several
// packages at once. A package that breaks (a conflict, a builtin error, a member
// that makes no sense, the limits of time and memory) loses its contributions and
// is a failure; the others count.
func (e *Evaluator) Evaluate(ctx context.Context, stage policy.Stage, in policy.Input) policy.Evaluation {
	var packages []rulePackage
	for _, p := range e.packages {
		if p.stage == stage {
			packages = append(packages, p)
		}
	}
	if len(packages) == 0 {
		return policy.Evaluation{}
	}
	documents, err := inputTerms(in, packages)
	if err != nil {
		return policy.Evaluation{Failures: []policy.RuleFailure{{Rule: "reconcile", Error: err.Error()}}}
	}
	results := make([]policy.Evaluation, len(packages))
	greedy := make([]bool, len(packages))
	memory := watchMemory(e.memory)
	// No more at once than there are processors, so that the time limit is about
	// the package and not about its neighbours.
	onAllProcessors(len(packages), func(i int) {
		results[i], greedy[i] = e.evaluatePackage(ctx, packages[i], documents[i], in.Now, memory)
	})
	memory.end()
	e.againAlone(ctx, packages, greedy, results, documents, in.Now)

	var all policy.Evaluation
	found := 0
	for _, r := range results {
		found += len(r.Contributions)
	}
	all.Contributions = slices.Grow(all.Contributions, found)
	for i, r := range results {
		if packages[i].tried {
			r = shownOnly(r)
		}
		all.Contributions = append(all.Contributions, r.Contributions...)
		all.Failures = append(all.Failures, r.Failures...)
	}
	return all
}

// againAlone evaluates once more, one by one, the packages that were stopped
// because all of them together needed too much memory.
func (e *Evaluator) againAlone(ctx context.Context, packages []rulePackage, greedy []bool, results []policy.Evaluation, documents []*ast.Term, now policy.Now) {
	for i, p := range packages {
		if !greedy[i] {
			continue
		}
		runtime.GC() // what the others left behind is not this one's
		memory := watchMemory(e.memory)
		results[i], _ = e.evaluatePackage(ctx, p, documents[i], now, memory)
		memory.end()
	}
}

// evaluatePackage evaluates one package. Greedy says that it was stopped because
// of what is in use by all that run.
func (e *Evaluator) evaluatePackage(ctx context.Context, p rulePackage, document *ast.Term, now policy.Now, memory *memoryWatch) (result policy.Evaluation, greedy bool) {
	var found []policy.Contribution
	var failures []policy.RuleFailure
	run := evaluation{of: p, document: document, now: now, memory: memory}
	err, greedy := e.query(ctx, run, func(result topdown.QueryResult) {
		for _, set := range p.sets {
			var errs []policy.RuleFailure
			found, errs = p.decode(set, result[ast.Var(locatedPrefix+string(set))], found)
			failures = append(failures, errs...)
		}
	})
	if err != nil {
		failures = append(failures, *err)
	}
	if len(failures) > 0 {
		return policy.Evaluation{Failures: fewOf(failures)}, greedy
	}
	return policy.Evaluation{Contributions: found}, false
}

// maxFailures bounds how many failures of one package are told: a member that is
// bad is bad for every profile.
const maxFailures = 3

func fewOf(failures []policy.RuleFailure) []policy.RuleFailure {
	slices.SortFunc(failures, func(a, b policy.RuleFailure) int {
		return cmp.Or(strings.Compare(a.Location, b.Location), strings.Compare(a.Error, b.Error))
	})
	failures = slices.Compact(failures)
	if more := len(failures) - maxFailures; more > 0 {
		failures = failures[:maxFailures]
		failures[maxFailures-1].Error += fmt.Sprintf(" (and %d more)", more)
	}
	return failures
}

// An evaluation is one package over one input document.
type evaluation struct {
	of       rulePackage
	document *ast.Term
	now      policy.Now
	memory   *memoryWatch
	observer func(*topdown.Query) *topdown.Query // or nil
}

// query evaluates all sets of a package at once. Greedy says that the limit of
// memory stopped it.
func (e *Evaluator) query(ctx context.Context, run evaluation, use func(topdown.QueryResult)) (broken *policy.RuleFailure, greedy bool) {
	p := run.of
	txn, err := e.store.NewTransaction(ctx, storage.TransactionParams{})
	if err != nil {
		return &policy.RuleFailure{Rule: p.name, Error: err.Error()}, false
	}
	defer e.store.Abort(ctx, txn)

	cancel := topdown.NewCancel()
	limit := time.AfterFunc(e.timeout, cancel.Cancel)
	defer limit.Stop()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	defer run.memory.stops(cancel)()

	var builtinErrors []topdown.Error
	query := topdown.NewQuery(p.query).
		WithCompiler(e.compiler).
		WithStore(e.store).
		WithTransaction(txn).
		WithInput(run.document).
		WithCancel(cancel).
		WithTime(time.Unix(0, run.now.UnixNS)).
		WithBuiltinErrorList(&builtinErrors)
	if run.observer != nil {
		query = run.observer(query)
	}
	err = query.Iter(ctx, func(result topdown.QueryResult) error {
		use(result)
		return nil
	})
	switch {
	case topdown.IsCancel(err) && ctx.Err() != nil:
		return &policy.RuleFailure{Rule: p.name, Error: "stopped: " + ctx.Err().Error()}, false
	case topdown.IsCancel(err) && run.memory.exceeded():
		return &policy.RuleFailure{Rule: p.name, Error: fmt.Sprintf("stopped: needs more than %d MiB of memory", e.memory>>20)}, true
	case topdown.IsCancel(err):
		return &policy.RuleFailure{Rule: p.name, Error: fmt.Sprintf("not done after %s", e.timeout)}, false
	case err != nil:
		return failure(p, err), false
	case len(builtinErrors) > 0:
		return failure(p, &builtinErrors[0]), false
	}
	return nil, false
}

func failure(p rulePackage, err error) *policy.RuleFailure {
	f := &policy.RuleFailure{Rule: p.name, Error: strings.ReplaceAll(err.Error(), locatedPrefix, "")}
	if e, ok := err.(*topdown.Error); ok {
		f.Error = strings.ReplaceAll(fmt.Sprintf("%s: %s", e.Code, e.Message), locatedPrefix, "")
		if e.Location != nil {
			f.Location = fmt.Sprintf("%s:%d", e.Location.File, e.Location.Row)
		}
	}
	return f
}

// decode adds the members of one set to those that were found. Each is an array of the
// index of its rule and the member itself (see locate.go).
func (p rulePackage) decode(set policy.Set, term *ast.Term, found []policy.Contribution) ([]policy.Contribution, []policy.RuleFailure) {
	members, ok := term.Value.(ast.Set)
	if !ok {
		return found, []policy.RuleFailure{{Rule: p.name, Error: fmt.Sprintf("%s is no set", set)}}
	}
	found = slices.Grow(found, members.Len())
	plain := map[string]any{} // of one member after the other
	var failures []policy.RuleFailure
	members.Foreach(func(t *ast.Term) {
		member := t.Value.(*ast.Array)
		index, _ := member.Elem(0).Value.(ast.Number).Int()
		rule := p.rules[index]
		clear(plain)
		err := plainMember(set, rule.keys, member, plain)
		var c policy.Contribution
		if err == nil {
			c, err = policy.DecodeMember(set, plain)
		}
		if err != nil {
			failures = append(failures, policy.RuleFailure{Rule: p.name, Location: rule.place, Error: err.Error()})
			return
		}
		c.Rule, c.Location, c.Layer = p.name, rule.place, p.layer
		found = append(found, c)
	})
	return found, failures
}

// plainMember puts the keys and values of a member into a map.
func plainMember(set policy.Set, keys []string, member *ast.Array, plain map[string]any) (err error) {
	for i, key := range keys {
		if plain[key], err = plainValue(member.Elem(i + 1).Value); err != nil {
			return err
		}
	}
	if keys != nil {
		return nil
	}
	value := member.Elem(1).Value
	object, ok := value.(ast.Object)
	if !ok {
		required, _ := policy.Fields(set)
		return fmt.Errorf("a member of %s is %s, want an object with %s", set, ast.ValueName(value), strings.Join(required, ", "))
	}
	return object.Iter(func(k, v *ast.Term) (err error) {
		key, ok := k.Value.(ast.String)
		if !ok {
			return fmt.Errorf("a member of %s has the key %s, want a string", set, k)
		}
		plain[string(key)], err = plainValue(v.Value)
		return err
	})
}

func plainValue(v ast.Value) (any, error) {
	switch v := v.(type) {
	case ast.String:
		return string(v), nil
	case ast.Number:
		return json.Number(v), nil
	}
	return ast.JSON(v)
}
