package rego

import (
	"cmp"
	"encoding/json"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"hermes-reconcile/policy"
)

// Options are what a policy needs beside its layers.
type Options struct {
	// Schema is the JSON Schema of the input document, against which packages are
	// checked. The built-in ones alone are checked for nothing, except where
	// CheckBuiltIn says so, because the project's own tests have done it.
	Schema       json.RawMessage
	CheckBuiltIn bool
	// Settings are the operator's, over those of the layers.
	Settings map[string]any
	// Timeout bounds the evaluation of one package over all profiles; 0 is
	// DefaultTimeout.
	Timeout time.Duration
	// Memory bounds, in bytes, what the rules may need beside what is in use when
	// they start; 0 is DefaultMemory.
	Memory int64
	// Print keeps the calls of print() in the rules, for Trace.
	Print bool
}

// DefaultTimeout bounds the evaluation of one package: about ten times what the
// slowest built-in one needs for 10,000 profiles.
const DefaultTimeout = 2 * time.Second

// DefaultMemory bounds what the rules need: more than ten times what the built-in
// ones need for 10,000 profiles.
const DefaultMemory = 256 << 20

// An Evaluator runs the rule packages of its layers. It is safe for concurrent
// use.
type Evaluator struct {
	compiler *ast.Compiler
	store    storage.Store
	packages []rulePackage
	timeout  time.Duration
	memory   int64
	status   policy.Status
	kept     keptLayers
	settings map[string]any
}

// Load compiles the layers, the built-in one first, into one policy. It is all or
// nothing: a package that was left out might have held a profile. The error is an
// Errors with every mistake that was found, or that of reading a directory.
func Load(layers []Layer, o Options) (*Evaluator, error) {
	p, err := readLayers(layers, o.Settings)
	if err != nil {
		return nil, err
	}
	kept := p.copy(layers)
	if p.sources, err = switchOff(p.sources, p.settings); err != nil {
		return nil, err
	}
	warn, err := named(p.sources, p.settings, "warn_rules")
	if err != nil {
		return nil, err
	}
	sources := p.sources
	errs := append(checkContract(sources), checkSettingRefs(sources, p.settings)...)
	if errs = append(errs, checkEnforce(sources)...); len(errs) > 0 {
		return nil, errs
	}
	e := &Evaluator{
		timeout: cmp.Or(o.Timeout, DefaultTimeout), memory: cmp.Or(o.Memory, DefaultMemory),
		status: status(layers, sources, p.settings), kept: kept, settings: p.settings,
	}
	tested := len(layers) == 1 && !o.CheckBuiltIn
	if o.Schema != nil && !tested {
		if errs := checkTypes(sources, o.Schema); len(errs) > 0 {
			return nil, errs
		}
	}
	modules := make(map[string]*ast.Module, len(sources))
	for _, s := range sources {
		if kind, _ := packageKind(s.module.Package.Path); kind != kindLib {
			located := locate(s, tested)
			located.tried = onlyTried(s, warn)
			e.packages = append(e.packages, located)
		}
		modules[s.name] = s.module
	}
	e.compiler = newCompiler().WithEnablePrintStatements(o.Print)
	if tested {
		e.compiler.WithStrict(false).WithSkipStages(checkStages...)
	}
	e.compiler.Compile(modules)
	if e.compiler.Failed() {
		return nil, fromOPA(e.compiler.Errors)
	}
	for i, p := range e.packages {
		e.packages[i].view = sync.OnceValue(func() *view { return viewOf(e.compiler, p) })
	}
	e.store = inmem.NewFromObjectWithOpts(map[string]any{"settings": p.settings}, inmem.OptReturnASTValuesOnRead(true))
	return e, nil
}

// Status says which policy this is.
func (e *Evaluator) Status() policy.Status { return e.status }

// Setting returns the value of a setting, or nil where there is none.
func (e *Evaluator) Setting(key string) any { return e.settings[key] }
