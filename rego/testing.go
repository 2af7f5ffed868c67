package rego

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// TestOptions are what RunTests needs beside the layers.
type TestOptions struct {
	// Settings are the operator's, over those of the layers.
	Settings map[string]any
	// Run is a regular expression over full names such as
	// data.reconcile.rules.scratch_test.test_scratch_waits; empty runs all.
	Run string
	// Coverage asks which lines of the operator's rules the tests evaluate.
	Coverage bool
	// Timeout bounds one test; 0 is DefaultTestTimeout.
	Timeout time.Duration
}

// DefaultTestTimeout bounds one test: more than a rule has at boot, because a test
// may evaluate it many times, and on a machine that is busy with other tests.
const DefaultTestTimeout = 10 * time.Second

// A TestReport is what the Rego tests of the operator's layers said.
type TestReport struct {
	Tests []TestResult `json:"tests"` // ordered by place
	// Coverage is there where it was asked for.
	Coverage *Coverage `json:"coverage,omitempty"`
}

// A TestResult is one test.
type TestResult struct {
	Package string        `json:"package"`
	Name    string        `json:"name"`
	File    string        `json:"file"`
	Row     int           `json:"row"`
	Outcome Outcome       `json:"outcome"`
	Error   string        `json:"error,omitempty"`  // why it could not be evaluated
	Output  string        `json:"output,omitempty"` // of print
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

// Coverage is which lines of the operator's rules were evaluated.
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
// data.reconcile.lib.example, the library of example facts. Print is allowed. The
// error is an Errors where the rules or the tests cannot be compiled.
func RunTests(ctx context.Context, layers []Layer, o TestOptions) (TestReport, error) {
	if _, err := regexp.Compile(o.Run); err != nil {
		return TestReport{}, fmt.Errorf("run: %w", err)
	}
	all, err := readLayers(layers, o.Settings)
	if err != nil {
		return TestReport{}, err
	}
	c := &checker{layers: layers}
	c.readFiles()
	if err := c.unread(); err != nil {
		return TestReport{}, err
	}
	modules, err := testModules(all.sources, c.tests)
	if err != nil {
		return TestReport{}, err
	}
	store := inmem.NewFromObject(map[string]any{"settings": all.settings})
	txn, err := store.NewTransaction(ctx, storage.WriteParams)
	if err != nil {
		return TestReport{}, err
	}
	defer store.Abort(ctx, txn)
	runner := tester.NewRunner().
		SetStore(store).
		SetCompiler(newTestCompiler()).
		SetModules(modules).
		CapturePrintOutput(true).
		RaiseBuiltinErrors(true).
		SetTimeout(cmp.Or(o.Timeout, DefaultTestTimeout)).
		Filter(o.Run)
	coverage := cover.New()
	if o.Coverage {
		runner.SetCoverageQueryTracer(coverage).SetCoverageRuns(nil).SetParallel(1)
	}
	results, err := runner.RunTests(ctx, txn)
	if err != nil {
		if several, ok := errors.AsType[ast.Errors](err); ok {
			return TestReport{}, fromOPA(several)
		}
		return TestReport{}, err
	}
	report := TestReport{Tests: collectResults(results)}
	if o.Coverage {
		report.Coverage = coverageOf(coverage, all.sources)
	}
	return report, nil
}

// unread is what could not be parsed or read: a test that is left out would pass
// for one that passes.
func (c *checker) unread() error {
	var errs Errors
	for _, f := range c.findings {
		if f.Severity == SeverityError {
			errs = append(errs, &Error{File: f.File, Row: f.Row, Col: f.Col, Code: f.Code, Message: f.Message, Position: f.Row > 0})
		}
	}
	return noneIsNil(errs)
}

// testModules is what a test sees: the rules, the tests, and the example facts
// unless a directory has them.
func testModules(sources, tests []source) (map[string]*ast.Module, error) {
	modules := map[string]*ast.Module{}
	own := false
	for _, s := range slices.Concat(sources, tests) {
		modules[s.name] = s.module.Copy()
		own = own || packageName(s.module.Package.Path) == examplePackage
	}
	if own {
		return modules, nil
	}
	text, err := ExampleLibrary()
	if err != nil {
		return nil, err
	}
	library, errs := parse(0, ExampleFile, text)
	if errs != nil {
		return nil, errs
	}
	modules[library.name] = library.module
	return modules, nil
}

// newTestCompiler is as forgiving as `opa test` about unused variables, and as
// strict as a boot about builtins.
func newTestCompiler() *ast.Compiler {
	return newCompiler().WithStrict(false).WithEnablePrintStatements(true)
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

// coverageOf reports on the operator's rules, not on tests nor built-in rules.
func coverageOf(c *cover.Cover, sources []source) *Coverage {
	modules := map[string]*ast.Module{}
	for _, s := range sources {
		if s.layer > 0 {
			modules[s.name] = s.module
		}
	}
	report := c.Report(modules)
	all := &Coverage{Percent: 100, Files: []FileCoverage{}}
	covered, lines := 0, 0
	for _, name := range sortedKeys(modules) {
		f := FileCoverage{File: name, Percent: 100, NotCovered: []string{}}
		if r, ok := report.Files[name]; ok && r.CoveredLines+r.NotCoveredLines > 0 {
			covered, lines = covered+r.CoveredLines, lines+r.CoveredLines+r.NotCoveredLines
			f.Percent = 100 * float64(r.CoveredLines) / float64(r.CoveredLines+r.NotCoveredLines)
			for _, gap := range r.NotCovered {
				f.NotCovered = append(f.NotCovered, rows(gap))
			}
		}
		all.Files = append(all.Files, f)
	}
	if lines > 0 {
		all.Percent = 100 * float64(covered) / float64(lines)
	}
	return all
}

func rows(r cover.Range) string {
	if r.Start.Row == r.End.Row {
		return fmt.Sprint(r.Start.Row)
	}
	return fmt.Sprintf("%d-%d", r.Start.Row, r.End.Row)
}
