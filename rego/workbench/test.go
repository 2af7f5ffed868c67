package workbench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/example"
)

// TestOptions are what RunTests needs beside the layers.
type TestOptions struct {
	// Settings are the operator's, over those of the layers.
	Settings map[string]any
	// Run is a regular expression over full names such as
	// data.reconcile.rules.scratch_test.test_scratch_waits; empty runs all.
	Run string
	// Coverage asks for the lines of the operator's rules that the tests evaluate.
	Coverage bool
}

// testTimeout limits one test. It is longer than the limit of a rule at boot: a test may
// evaluate the rule many times, beside other tests.
const testTimeout = 30 * time.Second

// A TestReport is the result of the Rego tests of the operator's layers.
type TestReport struct {
	SchemaVersion policy.Version `json:"schema_version"`
	Tests         []TestResult   `json:"tests"` // sorted by place
	// Coverage is absent unless it is asked for.
	Coverage *Coverage `json:"coverage,omitempty"`
}

// Count returns how many tests ended in which way.
func (r TestReport) Count() map[Outcome]int {
	counts := map[Outcome]int{}
	for _, t := range r.Tests {
		counts[t.Outcome]++
	}
	return counts
}

// A TestResult is one test.
type TestResult struct {
	Package string        `json:"package"`
	Name    string        `json:"name"`
	File    string        `json:"file"`
	Row     int           `json:"row"`
	Outcome Outcome       `json:"outcome"`
	Error   string        `json:"error,omitempty"`  // why it could not be evaluated
	Output  string        `json:"output,omitempty"` // of print()
	Took    time.Duration `json:"duration_ns"`
}

// An Outcome is how a test ended.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "pass"
	Failed  Outcome = "fail"  // it is not true
	Errored Outcome = "error" // it could not be evaluated
	Skipped Outcome = "skip"  // its name begins with todo_test_
)

// Coverage is how many lines of the operator's rules were evaluated.
type Coverage struct {
	Percent float64        `json:"percent"`
	Files   []FileCoverage `json:"files"`
}

// FileCoverage is the coverage of one file.
type FileCoverage struct {
	File    string  `json:"file"`
	Percent float64 `json:"percent"`
	// NotCovered are the lines that no test evaluates, as "3" or "5-7".
	NotCovered []string `json:"not_covered"`
}

// RunTests runs the *_test.rego files of the operator's layers, which follow the
// built-in one. A test sees all layers with their settings and, as
// data.reconcile.lib.example, the library of example facts. It may print. The error is
// a rego.Errors if the rules or the tests cannot be compiled.
func RunTests(ctx context.Context, layers []rego.Layer, o TestOptions) (TestReport, error) {
	rules, err := rego.ReadRules(layers, o.Settings)
	if err != nil {
		return TestReport{}, err
	}
	// A file that cannot be read is an error: a test that was left out would look like
	// one that passes.
	var tests []rego.Source
	for i, layer := range layers[1:] {
		more, err := rego.ReadTests(i+1, layer)
		if err != nil {
			return TestReport{}, err
		}
		tests = append(tests, more...)
	}
	store := inmem.NewFromObject(map[string]any{"settings": rules.Settings})
	txn := storage.NewTransactionOrDie(ctx, store, storage.WriteParams) // in memory
	defer store.Abort(ctx, txn)
	runner := tester.NewRunner().
		SetStore(store).
		SetCompiler(example.NewTestCompiler()).
		SetModules(example.TestModules(rules.Sources, tests)).
		CapturePrintOutput(true).
		RaiseBuiltinErrors(true).
		SetTimeout(testTimeout).
		Filter(o.Run)
	coverage := cover.New()
	if o.Coverage {
		runner.SetCoverageQueryTracer(coverage).SetCoverageRuns(nil).SetParallel(1)
	}
	results, err := runner.RunTests(ctx, txn)
	if err != nil {
		if several, ok := errors.AsType[ast.Errors](err); ok {
			return TestReport{}, rego.FromOPA(several)
		}
		return TestReport{}, err
	}
	report := TestReport{Tests: collectResults(results)}
	if o.Coverage {
		report.Coverage = coverageOf(coverage, rules.Sources)
	}
	return report, nil
}

func collectResults(results chan *tester.Result) []TestResult {
	tests := []TestResult{}
	for r := range results {
		t := TestResult{
			Package: strings.TrimPrefix(r.Package, "data."), Name: r.Name, Output: string(r.Output), Took: r.Duration,
			File: r.Location.File, Row: r.Location.Row, Outcome: Passed,
		}
		switch {
		case r.Skip:
			t.Outcome = Skipped
		case r.Error != nil:
			t.Outcome, t.Error = Errored, r.Error.Error()
		case r.Fail:
			t.Outcome = Failed
		}
		tests = append(tests, t)
	}
	slices.SortFunc(tests, func(a, b TestResult) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Name, b.Name))
	})
	return tests
}

// coverageOf covers the operator's rules, not tests or built-in rules.
func coverageOf(c *cover.Cover, sources []rego.Source) *Coverage {
	modules := map[string]*ast.Module{}
	for _, s := range sources {
		if s.Layer > 0 {
			modules[s.Name] = s.Module
		}
	}
	report := c.Report(modules)
	all := &Coverage{Files: []FileCoverage{}}
	covered, lines := 0, 0
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		f := FileCoverage{File: name, Percent: 100, NotCovered: []string{}}
		if r, ok := report.Files[name]; ok {
			covered, lines = covered+r.CoveredLines, lines+r.CoveredLines+r.NotCoveredLines
			f.Percent = percent(r.CoveredLines, r.CoveredLines+r.NotCoveredLines)
			for _, gap := range r.NotCovered {
				f.NotCovered = append(f.NotCovered, rows(gap))
			}
		}
		all.Files = append(all.Files, f)
	}
	all.Percent = percent(covered, lines)
	return all
}

func percent(covered, lines int) float64 {
	if lines == 0 {
		return 100
	}
	return 100 * float64(covered) / float64(lines)
}

func rows(r cover.Range) string {
	if r.Start.Row == r.End.Row {
		return fmt.Sprint(r.Start.Row)
	}
	return fmt.Sprintf("%d-%d", r.Start.Row, r.End.Row)
}
