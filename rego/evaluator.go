package rego

import (
	"cmp"
	"encoding/json"
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
	Schema json.RawMessage
	// Settings are those of the configuration. They win over those of the layers.
	Settings map[string]any
	// Timeout limits the evaluation of one package over all profiles. 0 means
	// DefaultTimeout.
	Timeout time.Duration
	// Memory limits how many bytes the heap may grow while Evaluate runs one package. 0
	// means DefaultMemory.
	Memory int64
	// Trace keeps the calls of print() in the rules, and gives each package ten times as
	// long.
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
	timeout  time.Duration
	memory   int64
	status   policy.Status
	operator OperatorFiles
	settings map[string]any
}

// Load compiles the layers, the built-in one first, into one policy. It loads all
// packages or none: a package that was left out might have held a profile. The error is
// an Errors with every mistake that was found, or the error of reading a directory.
func Load(layers []Layer, o Options) (*Evaluator, error) {
	rules, err := ReadRules(layers, o.Settings)
	if err != nil {
		return nil, err
	}
	if rules.Sources, err = rules.Enabled(); err != nil {
		return nil, err
	}
	warn, err := rules.named("warn_rules")
	if err != nil {
		return nil, err
	}
	tested := len(layers) == 1
	if tested {
		o.Schema = nil
	}
	if errs := rules.Check(o.Schema); len(errs) > 0 {
		return nil, errs
	}
	e := &Evaluator{
		timeout: cmp.Or(o.Timeout, DefaultTimeout), memory: cmp.Or(o.Memory, DefaultMemory),
		status: status(layers, rules.Sources, rules.Settings), operator: rules.operator, settings: rules.Settings,
	}
	if o.Trace {
		e.timeout *= 10
	}
	modules := make(map[string]*ast.Module, len(rules.Sources))
	for _, s := range rules.Sources {
		if s.Kind() != KindLib {
			p := locate(s, tested)
			p.WarnOnly = isWarnOnly(s, warn)
			e.packages = append(e.packages, p)
		}
		modules[s.Name] = s.Module
	}
	e.compiler = NewCompiler().WithEnablePrintStatements(o.Trace)
	if tested {
		e.compiler.WithStrict(false).WithSkipStages(checkStages...)
	}
	e.compiler.Compile(modules)
	if e.compiler.Failed() {
		return nil, FromOPA(e.compiler.Errors)
	}
	e.status.External = e.externalReads(rules.Sources)
	e.store = inmem.NewFromObjectWithOpts(map[string]any{"settings": rules.Settings}, inmem.OptReturnASTValuesOnRead(true))
	return e, nil
}

// Check finds what the compiler accepts and a layer must not do, and references to facts
// that do not exist, against the JSON Schema of the input document if there is one.
func (r Rules) Check(schema json.RawMessage) Errors {
	errs := append(checkContract(r.Sources), CheckSettingRefs(r.Sources, r.Settings)...)
	errs = append(errs, checkEnforce(r.Sources)...)
	if schema != nil {
		errs = append(errs, checkTypes(r.Sources, schema)...)
	}
	return errs
}

// Status identifies the policy: where it comes from, and its revision.
func (e *Evaluator) Status() policy.Status { return e.status }

// Setting returns the value of a setting, or nil if there is none.
func (e *Evaluator) Setting(key string) any { return e.settings[key] }

// Operator returns the operator's files as they were compiled. A file may have changed
// on disk since then. The caller must not change the maps.
func (e *Evaluator) Operator() OperatorFiles { return e.operator }

// Packages returns the packages of both stages, by layer and file.
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
