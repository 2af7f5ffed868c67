// Package check is the linter behind `policy check`: it finds mistakes in an operator's
// rules, also those that Rego accepts. It also measures what rules cost.
package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/example"
)

// A Finding is a mistake in an operator's layer, or something that will surprise.
type Finding struct {
	File string `json:"file"`
	// Row and Col count from 1. They are 0 if the place is the whole file.
	Row      int      `json:"row"`
	Col      int      `json:"col"`
	Severity Severity `json:"severity"`
	Code     string   `json:"code"` // stable; Codes lists them
	Message  string   `json:"message"`
	Fix      string   `json:"mend"` // what would be right
}

// String prints a finding as compilers do.
func (f Finding) String() string {
	place := f.File
	if f.Row > 0 {
		place = fmt.Sprintf("%s:%d:%d", f.File, f.Row, f.Col)
	}
	return fmt.Sprintf("%s: %s: %s [%s]", place, f.Severity, f.Message, f.Code)
}

// A Severity is what a finding means at boot.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // the layer cannot be used, or a package of it fails
	SeverityWarning Severity = "warning" // it works, but probably not as its author meant
)

// Options are what Check needs beside the layers.
type Options struct {
	rego.Options
	// Situations are evaluated beside the shipped examples. The present home may be one.
	Situations []example.Situation
	// Printed gets what the rules print in the last of these, else in the first example. It
	// may be nil.
	Printed io.Writer
}

// A Report is what Check found, and what it looked at.
type Report struct {
	SchemaVersion policy.Version `json:"schema_version"`
	Findings      []Finding      `json:"findings"`
	// Rules and Tests count the operator's files. Situations names those on which the
	// rules were tried; it is empty if the rules cannot be loaded.
	Rules      int      `json:"rules"`
	Tests      int      `json:"tests"`
	Situations []string `json:"situations"`
}

// Only returns the report with the findings of one file, and those about whole directories.
func (r Report) Only(file string) Report {
	r.Findings = slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.File != file && f.Row > 0 })
	return r
}

// Errors counts the findings of that severity.
func (r Report) Errors() int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == SeverityError {
			n++
		}
	}
	return n
}

// Check finds mistakes in the operator's layers, which follow the built-in one: those
// for which rego.Load fails, those that it accepts, and those that appear when the
// rules are evaluated over example situations. Unlike rego.Load, Check continues after
// the first mistake. The findings are sorted by place.
func Check(ctx context.Context, layers []rego.Layer, o Options) Report {
	c := &checker{options: o, layers: layers}
	c.readFiles()
	c.inspect()
	c.unusedSettings()
	o.Print = o.Printed != nil
	evaluator, err := rego.Load(layers, o.Options)
	if err != nil {
		c.addErrors(err)
		c.compile()
		return c.report()
	}
	if !c.unparsed && c.report().Errors() == 0 {
		c.compileTests()
	}
	c.try(ctx, evaluator)
	return c.report()
}

// A checker collects findings. Each of its steps is in a file of its own.
type checker struct {
	options  Options
	layers   []rego.Layer
	rules    rego.Rules // the built-in ones first
	tests    []rego.Source
	unparsed bool // a file of rules could not be parsed
	tried    []string
	findings []Finding

	// Of all rules and tests, with full references:
	references []reference
	packages   map[string][]string // the rules of each package; nil if unknown
}

func (c *checker) add(f Finding) {
	known := codeOf(f.Code)
	f.Severity, f.Fix = known.Severity, known.Fix
	c.findings = append(c.findings, f)
}

// addErrors adds a finding for each mistake.
func (c *checker) addErrors(err error) {
	mistakes, _ := errors.AsType[rego.Errors](err)
	for _, e := range mistakes {
		c.addError(e)
	}
}

func (c *checker) lastDirectory() string { return c.layers[len(c.layers)-1].Name }

func (c *checker) addError(e *rego.Error) {
	f := Finding{File: e.File, Row: e.Row, Col: e.Col, Code: refine(e.Code, e.Message), Message: e.Message}
	if f.Row == 0 && strings.HasSuffix(f.Message, "empty module") {
		f.Row, f.Col, f.Message = 1, 1, "the file is empty; it begins with its package"
	}
	switch {
	case f.Code == rego.CodeDirectory:
		c.add(Finding{Code: f.Code, File: c.lastDirectory(), Message: e.Error()})
	case f.Code == "needs_broken": // the cause is a finding
	case f.Code == "undefined_function" && c.unparsed: // it may be in the file that could not be parsed
	case f.Code == "unknown_setting" && c.has("settings_error", ""): // it may be in the file that could not be used
	case f.Code == "contributes_nothing" && c.has("misspelt_set", f.File):
	case f.Code == "rule_conflict" && (c.has("set_expected", f.File) || c.has("set_default", f.File)): // the same mistake
	default:
		c.add(f)
	}
}

// has reports whether a finding has the code, in the file unless the name is empty.
func (c *checker) has(code, file string) bool {
	return slices.ContainsFunc(c.findings, func(f Finding) bool { return f.Code == code && (file == "" || f.File == file) })
}

// refine gives codes of their own to mistakes for which OPA has one code.
func refine(code, message string) string {
	for _, r := range refinements {
		if (r.code == code || r.code == "") && strings.Contains(message, r.words) {
			return r.to
		}
	}
	return code
}

var refinements = []struct{ code, words, to string }{
	{"rego_type_error", "is never a member of", "set_member"},
	{"rego_type_error", "undefined ref: data.", "unknown_key"},
	{"rego_type_error", "undefined ref: ", "unknown_fact"},
	{"rego_type_error", "conflict", "rule_conflict"},
	{"contributes_nothing", "_test contributes", "test_file_name"},
	{"rego_compile_error", "assigned above", "assigned_twice"},
	{"rego_type_error", "undefined function", "undefined_function"},
	{"", " is not available to rules", "builtin_not_available"},
	{"rego_compile_error", "assigned var", "unused_variable"},
	{"rego_compile_error", "import", "unused_import"},
	{"rego_parse_error", "keyword is required", "old_syntax"},
}

// report sorts the findings and leaves out repetitions.
func (c *checker) report() Report {
	kept := append([]Finding{}, c.findings...)
	slices.SortStableFunc(kept, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Message, b.Message), cmp.Compare(a.Col, b.Col))
	})
	kept = slices.CompactFunc(kept, func(a, b Finding) bool {
		return a.File == b.File && a.Row == b.Row && a.Code == b.Code && a.Message == b.Message
	})
	r := Report{Findings: kept, Tests: len(c.tests), Situations: append([]string{}, c.tried...)}
	for _, s := range c.rules.Sources {
		if s.Layer > 0 {
			r.Rules++
		}
	}
	return r
}
