package rego

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
	"golang.org/x/sync/errgroup"

	"hermes-reconcile/policy"
)

// Evaluate runs every package of the stage, or the package of that name, over the whole
// input document, for the built-in rules alone and for commands of an author of rules. Rules
// of an operator run one after the other, so that the one that takes the memory fails. If a package fails (a conflict, a builtin
// error, an invalid member, a limit of time or memory), its contributions are dropped and
// its failure is reported; the other packages count. Package process does the same in a
// child for rules of an operator.
func (e *Evaluator) Evaluate(ctx context.Context, stage policy.Stage, in policy.Input) policy.Evaluation {
	document, err := NewDocument(in)
	if err != nil {
		return policy.Evaluation{Failures: []policy.RuleFailure{{Rule: "reconcile", Error: err.Error()}}}
	}
	var packages []rulePackage
	for _, p := range e.packages {
		if p.Belongs(stage) {
			packages = append(packages, p)
		}
	}
	results := make([]policy.Evaluation, len(packages))
	var group errgroup.Group
	group.SetLimit(e.atOnce)
	for i, p := range packages {
		group.Go(func() error {
			limited, stop := limitMemory(ctx, e.memory)
			defer stop()
			results[i] = e.EvaluatePackage(limited, p.Name, document)
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	var all policy.Evaluation
	for _, one := range results {
		all.Contributions = append(all.Contributions, one.Contributions...)
		all.Failures = append(all.Failures, one.Failures...)
		all.Printed = append(all.Printed, one.Printed...)
	}
	return all
}

// EvaluatePackage runs one package, as Evaluate does without a limit of memory. An unknown
// name is an error of the caller.
func (e *Evaluator) EvaluatePackage(ctx context.Context, name string, document Document) policy.Evaluation {
	p := e.find(name)
	var found []policy.Contribution
	failures := slices.Clone(p.failures)
	prints := &Prints{}
	hear := func(q *topdown.Query) *topdown.Query { return q.WithPrintHook(prints) }
	failed := e.query(ctx, p, document, hear, func(result topdown.QueryResult) {
		for _, set := range p.sets {
			var errs []policy.RuleFailure
			found, errs = p.decode(set, result[ast.Var(locatedPrefix+string(set))], found)
			failures = append(failures, errs...)
		}
	})
	if failed != nil {
		failures = append(failures, *failed)
	}
	result := policy.Evaluation{Contributions: found}
	if len(failures) > 0 {
		result = policy.Evaluation{Failures: fewOf(failures)}
	}
	result.Printed = prints.Lines
	if p.WarnOnly {
		return withoutEffect(result)
	}
	return result
}

func (e *Evaluator) find(name string) rulePackage {
	return e.packages[slices.IndexFunc(e.packages, func(p rulePackage) bool { return p.Name == name })]
}

// maxFailures limits how many failures of one package are reported: a bad member is bad
// for every profile.
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

// SetRules returns the compiled rules of a package that add to sets, in the order of the
// text. The caller must not change them.
func (e *Evaluator) SetRules(name string) []*ast.Rule {
	return slices.DeleteFunc(e.rulesOf(name), func(r *ast.Rule) bool { return !strings.HasPrefix(RuleName(r), locatedPrefix) })
}

// Observe evaluates one package and drops its contributions. Observer may add a tracer
// or another option to the query. The result is nil if the package did not fail. An unknown
// name is an error of the caller.
func (e *Evaluator) Observe(ctx context.Context, name string, document Document, observer func(*topdown.Query) *topdown.Query) *policy.RuleFailure {
	return e.query(ctx, e.find(name), document, observer, func(topdown.QueryResult) {})
}

// First returns the first solution of a body of compiled expressions, with the limits of a
// package; nil is none. Observer is as for Observe; it may be nil.
func (e *Evaluator) First(ctx context.Context, name string, body ast.Body, document Document, observer func(*topdown.Query) *topdown.Query) (first topdown.QueryResult, failed *policy.RuleFailure) {
	p := e.find(name)
	p.query = body
	failed = e.query(ctx, p, document, observer, func(result topdown.QueryResult) {
		if first == nil {
			first = result
		}
	})
	return first, failed
}

// Helpers returns the compiled rules that give a reference its value; none for facts,
// settings and builtins. The caller must not change them.
func (e *Evaluator) Helpers(name ast.Ref) []*ast.Rule {
	return e.compiler.GetRulesExact(name.ConstantPrefix())
}

var errTime = errors.New("the time limit of a rule package")

// query evaluates all sets of a package at once.
func (e *Evaluator) query(ctx context.Context, p rulePackage, document Document, observer func(*topdown.Query) *topdown.Query, use func(topdown.QueryResult)) (failed *policy.RuleFailure) {
	if len(p.failures) > 0 {
		return nil
	}
	defer func() { // some builtins panic when an argument is too large
		if why := recover(); why != nil {
			failed = &policy.RuleFailure{Rule: p.Name, Error: fmt.Sprintf("panic: %v", why)}
		}
	}()
	txn, err := e.store.NewTransaction(ctx, storage.TransactionParams{})
	if err != nil {
		return &policy.RuleFailure{Rule: p.Name, Error: err.Error()}
	}
	defer e.store.Abort(ctx, txn)

	ctx, stop := context.WithTimeoutCause(ctx, e.timeout, errTime)
	defer stop()
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()

	var builtinErrors []topdown.Error
	query := topdown.NewQuery(p.query).
		WithCompiler(e.compiler).
		WithStore(e.store).
		WithTransaction(txn).
		WithInput(document.term).
		WithCancel(cancel).
		WithTime(document.now).
		WithBuiltinErrorList(&builtinErrors)
	if observer != nil {
		query = observer(query)
	}
	err = query.Iter(ctx, func(result topdown.QueryResult) error {
		use(result)
		return nil
	})
	switch cause := context.Cause(ctx); {
	case topdown.IsCancel(err) && errors.Is(cause, errMemory):
		return &policy.RuleFailure{Rule: p.Name, Error: fmt.Sprintf("needs more than %d MiB of memory", e.memory>>20)}
	case topdown.IsCancel(err) && errors.Is(cause, errTime):
		return &policy.RuleFailure{Rule: p.Name, Error: fmt.Sprintf("not done after %s", e.timeout)}
	case topdown.IsCancel(err) && cause != nil:
		return &policy.RuleFailure{Rule: p.Name, Error: "stopped: " + cause.Error()}
	case err != nil:
		return failure(p, err)
	case len(builtinErrors) > 0:
		return failure(p, &builtinErrors[0])
	}
	return nil
}

func failure(p rulePackage, err error) *policy.RuleFailure {
	f := &policy.RuleFailure{Rule: p.Name, Error: AsWritten(err.Error())}
	if e, ok := err.(*topdown.Error); ok {
		f.Error = AsWritten(fmt.Sprintf("%s: %s", e.Code, e.Message))
		if e.Location != nil {
			f.Location = Place(e.Location)
		}
	}
	return f
}

// decode appends the members of one set to found. Each member is an array of the index
// of its rule and the member itself (see locate.go).
func (p rulePackage) decode(set policy.Set, term *ast.Term, found []policy.Contribution) ([]policy.Contribution, []policy.RuleFailure) {
	members := term.Value.(ast.Set) // see checkSets
	found = slices.Grow(found, members.Len())
	var failures []policy.RuleFailure
	members.Foreach(func(t *ast.Term) {
		member := t.Value.(*ast.Array)
		index, _ := member.Elem(0).Value.(ast.Number).Int()
		c, cut, err := decodeMember(set, member.Elem(1).Value)
		if err != nil {
			failures = append(failures, policy.RuleFailure{Rule: p.Name, Location: p.places[index], Error: err.Error()})
			return
		}
		c.Rule, c.Location, c.Layer = p.Name, p.places[index], p.Layer
		found = append(found, c)
		if cut != "" {
			found = append(found, policy.Contribution{
				Set: policy.SetAlarm, Rule: c.Rule, Location: c.Location, Layer: c.Layer, Profile: c.Profile,
				Code: policy.CodeOutOfRange, Reason: c.Location + ": " + cut,
			})
		}
	})
	return found, failures
}

func decodeMember(set policy.Set, value ast.Value) (c policy.Contribution, cut string, err error) {
	object, ok := value.(ast.Object)
	if !ok {
		required, _ := policy.Fields(set)
		return c, "", fmt.Errorf("a member of %s is %s, want an object with %s", set, ast.ValueName(value), strings.Join(required, ", "))
	}
	plain := make(map[string]any, object.Len())
	err = object.Iter(func(k, v *ast.Term) (err error) {
		key, ok := k.Value.(ast.String)
		if !ok {
			return fmt.Errorf("a member of %s has the key %s, want a string", set, k)
		}
		plain[string(key)], err = PlainValue(v.Value)
		return err
	})
	if err != nil {
		return c, "", err
	}
	return policy.DecodeMember(set, plain)
}

// PlainValue returns a value as policy.DecodeMember takes it: text as string, a number
// as json.Number, anything else as encoding/json would decode it.
func PlainValue(v ast.Value) (any, error) {
	switch v := v.(type) {
	case ast.String:
		return string(v), nil
	case ast.Number:
		return json.Number(v), nil
	}
	return ast.JSON(v)
}

// Place returns a location as file:row, or "".
func Place(l *ast.Location) string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d", l.File, l.Row)
}

// errMemory is the cause of a context that limitMemory has ended.
var errMemory = errors.New("the memory limit of the rules")

// memoryInterval is how often limitMemory measures. A rule allocates some hundred MB a
// second at most.
const memoryInterval = 5 * time.Millisecond

// limitMemory returns a context that ends with errMemory once the heap has grown by
// more than the given bytes. It is for rules that run in this process; the kernel limits
// the process of the rules. Everything that allocates beside the rules counts too. The
// caller calls the returned function to end measuring.
func limitMemory(ctx context.Context, bytes int64) (context.Context, func()) {
	limited, cancel := context.WithCancelCause(ctx)
	limit := heapInUse() + uint64(bytes)
	go func() {
		for limited.Err() == nil {
			time.Sleep(memoryInterval)
			if heapInUse() <= limit {
				continue
			}
			runtime.GC() // garbage does not count
			if heapInUse() > limit {
				cancel(errMemory)
			}
		}
	}()
	return limited, func() { cancel(nil) }
}

func heapInUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
