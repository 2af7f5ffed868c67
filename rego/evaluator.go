package rego

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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
	// Schema is the JSON Schema of the input document. Packages of the
	// operator's layers are checked against it; built-in ones are only where
	// CheckBuiltIn says so, because the project's own tests have done it.
	Schema       json.RawMessage
	CheckBuiltIn bool
	// Settings are the operator's, over those of the layers.
	Settings map[string]any
	// Timeout bounds the evaluation of one package over all profiles; 0 is
	// DefaultTimeout.
	Timeout time.Duration
}

// DefaultTimeout bounds the evaluation of one package: about ten times what the
// slowest built-in one needs for 10,000 profiles.
const DefaultTimeout = 2 * time.Second

// An Evaluator runs the rule packages of its layers. It is safe for concurrent
// use.
type Evaluator struct {
	compiler *ast.Compiler
	store    storage.Store
	packages []rulePackage
	timeout  time.Duration
	status   policy.Status
}

// Load compiles the layers, the built-in one first, into one policy. It is all or
// nothing: a package that was left out might have held a profile. The error is an
// Errors with every mistake that was found, or that of reading a directory.
func Load(layers []Layer, o Options) (*Evaluator, error) {
	sources, settings, err := read(layers, o.Settings)
	if err != nil {
		return nil, err
	}
	if sources, err = switchOff(sources, settings); err != nil {
		return nil, err
	}
	errs := append(checkContract(sources), checkSettingRefs(sources, settings)...)
	if len(errs) > 0 {
		return nil, errs
	}
	e := &Evaluator{timeout: o.Timeout, status: status(layers, sources, settings)}
	if e.timeout == 0 {
		e.timeout = DefaultTimeout
	}
	if o.Schema != nil && (len(layers) > 1 || o.CheckBuiltIn) {
		if errs := checkTypes(sources, o.Schema); len(errs) > 0 {
			return nil, errs
		}
	}
	modules := make(map[string]*ast.Module, len(sources))
	for _, s := range sources {
		if kind, _ := packageKind(s.module.Package.Path); kind != kindLib {
			e.packages = append(e.packages, locate(s))
		}
		modules[s.name] = s.module
	}
	e.compiler = newCompiler()
	e.compiler.Compile(modules)
	if e.compiler.Failed() {
		return nil, fromOPA(e.compiler.Errors)
	}
	e.store = inmem.NewFromObjectWithOpts(map[string]any{"settings": settings}, inmem.OptReturnASTValuesOnRead(true))
	return e, nil
}

// LoadOrFallBack is Load, and where the operator's layers or settings cannot be
// used, the built-in layer with the settings of the configuration, and where
// those cannot be used either, the built-in layer alone. Its Status says so. The
// error is that of the built-in layer.
func LoadOrFallBack(layers []Layer, o Options) (*Evaluator, error) {
	e, err := Load(layers, o)
	if err == nil {
		return e, nil
	}
	cause := err
	fallback, err := Load(layers[:1], o)
	if err != nil && o.Settings != nil {
		o.Settings = nil
		fallback, err = Load(layers[:1], o)
	}
	if err != nil {
		return nil, errors.Join(cause, err)
	}
	fallback.status.Fallback = true
	fallback.status.Errors = strings.Split(cause.Error(), "\n")
	return fallback, nil
}

// Status says which policy this is.
func (e *Evaluator) Status() policy.Status { return e.status }

// read parses all layers and lays their settings over each other.
func read(layers []Layer, operator map[string]any) ([]source, map[string]any, error) {
	var sources []source
	var errs []error
	settings := map[string]any{}
	for i, layer := range layers {
		parsed, err := parseLayer(i, layer)
		errs = append(errs, err)
		sources = append(sources, parsed...)
		more, err := readSettings(layer)
		errs = append(errs, err)
		merged, err := mergeSettings(settings, more, layer.Name+"/"+settingsFile)
		errs = append(errs, err)
		if err == nil {
			settings = merged
		}
	}
	merged, err := mergeSettings(settings, operator, "configuration: settings")
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, nil, err
	}
	return sources, merged, nil
}

// switchOff leaves out the packages that settings.disabled_rules names, in full or
// by their last word.
func switchOff(sources []source, settings map[string]any) ([]source, error) {
	list, _ := settings["disabled_rules"].([]any)
	var names []string
	for _, s := range sources {
		names = append(names, packageName(s.module.Package.Path))
	}
	off := map[string]bool{}
	for _, item := range list {
		name := fmt.Sprint(item)
		if !strings.Contains(name, ".") {
			name = "reconcile." + kindRules + "." + name
		}
		if !slices.Contains(names, name) {
			return nil, Errors{{File: "settings", Code: "settings_error", Message: fmt.Sprintf("disabled_rules: there is no rule package %q, have %s", item, strings.Join(names, ", "))}}
		}
		off[name] = true
	}
	return slices.DeleteFunc(sources, func(s source) bool { return off[packageName(s.module.Package.Path)] }), nil
}

// status names the layers, and identifies text and settings by a digest.
func status(layers []Layer, sources []source, settings map[string]any) policy.Status {
	names := []string{"built-in"}
	for _, layer := range layers[1:] {
		names = append(names, layer.Name)
	}
	digest := sha256.New()
	for _, s := range sources {
		fmt.Fprintf(digest, "%s %d\n", s.name, len(s.text))
		digest.Write(s.text)
	}
	if text, err := json.Marshal(settings); err == nil { // map keys are sorted
		digest.Write(text)
	}
	return policy.Status{Source: strings.Join(names, ", "), Revision: hex.EncodeToString(digest.Sum(nil))[:12]}
}
