package rego

import (
	"cmp"
	"encoding/json"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"hermes-reconcile/policy"
)

// Options are what a policy needs beside its layers.
type Options struct {
	// Schema is the JSON Schema of the input document, against which packages are
	// checked. Load does not check the built-in packages when they are alone: the tests
	// of this project have checked them.
	Schema json.RawMessage `json:"-"`
	// Settings are those of the configuration, as JSON has them. They win over those of the
	// layers.
	Settings Values
	// Places are file:row:col of these settings, as far as they are known.
	Places map[string]string
	// Timeout limits the evaluation of one package over all profiles. 0 means
	// DefaultTimeout.
	Timeout time.Duration
	// Memory limits how many bytes the heap may grow while Evaluate runs one package. 0
	// means DefaultMemory.
	Memory int64
	// Print keeps the calls of print() in the rules.
	Print bool
	// Trace does the same, and gives each package ten times as long.
	Trace bool
}

// DefaultTimeout is about ten times what the slowest built-in package needs for 10,000
// profiles.
const DefaultTimeout = 2 * time.Second

// DefaultMemory is more than ten times what the built-in packages need for 1,000
// profiles.
const DefaultMemory = 256 << 20

// An Evaluator runs the rule packages of its layers. It is safe for concurrent use.
type Evaluator struct {
	compiler *ast.Compiler
	store    storage.Store
	packages []rulePackage
	mask     rulePackage // of the decision log; it contributes nothing
	timeout  time.Duration
	memory   int64
	atOnce   int // packages that Evaluate runs at once
	status   policy.Status
	operator Operator
	settings map[string]any
	prints   bool
}

// Load compiles the layers, the built-in one first, into one policy. The error is an
// Errors with every mistake that was found.
//
// Beside mistakes in packages and in single settings, Load returns a policy that can be
// used: such a package fails whenever it is evaluated, and such a setting has its default.
// A directory or a settings file that cannot be read, and rules that the agents could have
// written, leave no policy.
func Load(layers []Layer, o Options) (*Evaluator, error) {
	rules, mistakes := readRules(layers, o.Settings)
	if slices.ContainsFunc(mistakes, (*Error).leavesNone) {
		return nil, mistakes
	}
	off, offErrs := rules.named("disabled_rules")
	warn, warnErrs := rules.named("warn_rules")
	rules.Sources = enabled(rules.Sources, off)
	mistakes = slices.Concat(mistakes, offErrs, warnErrs)
	for _, e := range mistakes {
		if place := o.Places[e.setting]; e.File == configurationName && place != "" {
			e.File = place
		}
	}
	tested := len(layers) == 1
	if tested {
		o.Schema = nil
	}
	e := &Evaluator{
		timeout: cmp.Or(o.Timeout, DefaultTimeout), memory: cmp.Or(o.Memory, DefaultMemory),
		status: status(layers, rules.Sources, rules.Settings), operator: rules.operator, settings: rules.Settings,
		prints: o.Print || o.Trace, atOnce: 1,
	}
	if o.Trace {
		e.timeout *= 10
	}
	if tested {
		e.atOnce = runtime.GOMAXPROCS(0)
	}
	usable, broken, more := rules.leaveOut(func(usable Rules) Errors {
		if errs := usable.Check(o.Schema); len(errs) > 0 {
			return errs
		}
		return e.compile(usable.Sources, warn, tested)
	})
	mistakes = append(mistakes, more...)
	if usable == nil {
		return nil, mistakes
	}
	e.packages = append(e.packages, failing(broken, e.packages, mistakes, warn)...)
	if i := slices.IndexFunc(broken, func(s Source) bool { return s.Kind() == KindMask }); i >= 0 {
		e.mask = e.mask.failWith(mistakes, func(m *Error) bool { return m.File == broken[i].Name })
	}
	e.findExternal(usable)
	Describe(&e.status, e.Packages())
	e.store = inmem.NewFromObjectWithOpts(map[string]any{"settings": rules.Settings}, inmem.OptReturnASTValuesOnRead(true))
	return e, mistakes.OrNil()
}

// compile compiles the packages of the sources, whose modules it changes.
func (e *Evaluator) compile(sources []Source, warn map[string]bool, tested bool) Errors {
	e.packages, e.mask = nil, rulePackage{Package: Package{Name: maskPackage}}
	modules := make(map[string]*ast.Module, len(sources))
	for _, s := range sources {
		if s.Kind() == KindMask {
			e.mask.query = ast.MustParseBody("mask = data." + maskPackage + ".mask")
		}
		if s.contributes() {
			p := locate(s, tested)
			p.WarnOnly = isWarnOnly(s, warn)
			e.packages = append(e.packages, p)
		}
		modules[s.Name] = s.Module
	}
	e.compiler = NewCompiler().WithEnablePrintStatements(e.prints)
	if tested {
		e.compiler.WithStrict(false).WithSkipStages(checkStages...)
	}
	e.compiler.Compile(modules)
	return FromOPA(e.compiler.Errors)
}

// Check finds what the compiler accepts and a layer must not do, and references to facts
// that do not exist, against the JSON Schema of the input document if there is one.
func (r Rules) Check(schema json.RawMessage) Errors {
	errs := append(checkContract(r.Sources), CheckSettingRefs(r.Sources, r.Settings)...)
	errs = append(errs, checkCustom(r.Sources)...)
	if schema != nil {
		errs = append(errs, checkTypes(r.Sources, schema)...)
	}
	return errs
}

// Status identifies the policy: where it comes from, and its revision.
func (e *Evaluator) Status() policy.Status { return e.status }

// Settings returns all settings. The caller must not change them.
func (e *Evaluator) Settings() map[string]any { return e.settings }

// Operator returns the operator's files as they were compiled. A file may have changed
// on disk since then. The caller must not change the maps.
func (e *Evaluator) Operator() Operator { return e.operator }

// Describe fills in what a status says of packages. Those of policy.StageAfter are in their
// order: by the order in their METADATA, which is 0 without one, then by name.
func Describe(s *policy.Status, packages []Package) {
	s.After, s.External = nil, nil
	for _, p := range slices.SortedFunc(slices.Values(packages), func(a, b Package) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), strings.Compare(a.Name, b.Name))
	}) {
		if p.Stage == policy.StageAfter {
			s.After = append(s.After, p.Name)
		}
		if len(p.External) > 0 && s.External == nil {
			s.External = map[string][]string{}
		}
		if len(p.External) > 0 {
			s.External[p.Name] = p.External
		}
	}
}

// Packages returns the packages of both stages, by layer and file. Those that cannot be
// used follow.
func (e *Evaluator) Packages() []Package {
	packages := make([]Package, len(e.packages))
	for i, p := range e.packages {
		packages[i] = p.Package
	}
	return packages
}

// AsFallback returns the same policy with a status that reports it as a fallback from
// another source.
func (e *Evaluator) AsFallback(source string) *Evaluator {
	fallback := *e
	fallback.status.Fallback, fallback.status.Source = true, source
	return &fallback
}
