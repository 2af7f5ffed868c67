package rego

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hermes-reconcile/policy"
)

// A Finding is something in an operator's layer that is wrong, or that will
// surprise.
type Finding struct {
	File string `json:"file"`
	// Row and Col count from 1; 0 where the place is the whole file.
	Row      int      `json:"row"`
	Col      int      `json:"col"`
	Severity Severity `json:"severity"`
	Code     string   `json:"code"` // stable; Codes lists them
	Message  string   `json:"message"`
	Mend     string   `json:"mend"` // what would be right
}

func (f Finding) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s [%s]", f.File, f.Row, f.Col, f.Severity, f.Message, f.Code)
}

// A Severity says what a finding means at boot.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // the layer cannot be used, or a package of it breaks
	SeverityWarning Severity = "warning" // it works, and probably not as it was meant
)

// CheckOptions are what Check needs beside the layers.
type CheckOptions struct {
	Options
	// Situations are evaluated beside the shipped examples; the present home is
	// one.
	Situations []Situation
}

// A CheckReport is what Check found, and over what.
type CheckReport struct {
	Findings []Finding `json:"findings"`
	// Rules and Tests count the operator's files, Situations names what the rules
	// were tried on; it is empty when they could not be.
	Rules      int      `json:"rules"`
	Tests      int      `json:"tests"`
	Situations []string `json:"situations"`
}

// Errors counts the findings of that severity.
func (r CheckReport) Errors() int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == SeverityError {
			n++
		}
	}
	return n
}

// Check looks for mistakes in the operator's layers, which follow the built-in
// one. It asks what Load asks, looks for what Load lets pass without a word, and
// evaluates the rules over example situations. Unlike Load it goes on after the
// first mistake. The findings are ordered by place.
func Check(ctx context.Context, layers []Layer, o CheckOptions) CheckReport {
	c := &checker{options: o, layers: layers}
	c.readFiles()
	c.readSettings()
	c.inspect()
	c.compile()
	evaluator, err := Load(layers, o.Options)
	c.addErrors(err)
	if evaluator != nil {
		c.try(ctx, evaluator)
	}
	return c.report()
}

// A checker collects findings; its steps are in the other check files.
type checker struct {
	options  CheckOptions
	layers   []Layer
	sources  []source // the built-in rules first
	tests    []source
	settings map[string]any
	places   settingPlaces
	unparsed bool // a file of rules could not be parsed
	tried    []string
	findings []Finding
}

func (c *checker) add(f Finding) {
	known, ok := codes[f.Code]
	if ok && f.Severity == "" {
		f.Severity = known.severity
	}
	f.Severity = cmp.Or(f.Severity, SeverityError)
	f.Mend = cmp.Or(f.Mend, known.mend)
	c.findings = append(c.findings, f)
}

// addErrors turns what Load and its steps return into findings. An error that
// joins others is taken apart.
func (c *checker) addErrors(err error) {
	if err == nil {
		return
	}
	if several, ok := errors.AsType[Errors](err); ok {
		for _, e := range several {
			c.addError(e)
		}
	}
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			c.addErrors(one)
		}
	case Errors:
	default:
		if _, ok := errors.AsType[Errors](err); !ok {
			c.add(Finding{Code: "directory_unreadable", File: c.lastDirectory(), Message: err.Error()})
		}
	}
}

func (c *checker) lastDirectory() string { return c.layers[len(c.layers)-1].Name }

func (c *checker) addError(e *Error) {
	f := Finding{File: e.File, Row: e.Row, Col: e.Col, Code: refine(e.Code, e.Message), Message: e.Message}
	if !e.Position {
		f.File, f.Row = c.places.find(e.File, e.Message)
	}
	if f.Row == 0 && strings.HasSuffix(f.Message, "empty module") {
		f.Row, f.Col, f.Message = 1, 1, "the file is empty; it begins with its package"
	}
	if f.Code == "undefined_function" && c.unparsed {
		return // it may be in the file that could not be parsed
	}
	c.add(f)
}

// refine gives the mistakes that OPA calls by one code codes of their own.
func refine(code, message string) string {
	for _, r := range refinements {
		if (r.code == code || r.code == "") && strings.Contains(message, r.words) {
			return r.to
		}
	}
	return code
}

var refinements = []struct{ code, words, to string }{
	{"rego_type_error", "undefined ref: ", "unknown_fact"},
	{"rego_type_error", "undefined function", "undefined_function"},
	{"", " is not available to rules", "builtin_not_available"},
	{"rego_compile_error", "assigned var", "unused_variable"},
	{"rego_compile_error", "import", "unused_import"},
	{"rego_parse_error", "keyword is required", "old_syntax"},
}

// report orders the findings, and says the same thing once.
func (c *checker) report() CheckReport {
	misspelt := map[string]bool{}
	unreadable := false
	for _, f := range c.findings {
		unreadable = unreadable || f.Code == "file_unreadable"
		if f.Code == "misspelt_set" {
			misspelt[f.File] = true
		}
	}
	kept := []Finding{}
	seen := map[string]bool{}
	for _, f := range c.findings {
		key := fmt.Sprintf("%s:%d:%s:%s", f.File, f.Row, f.Code, f.Message)
		if seen[key] || f.Code == "contributes_nothing" && misspelt[f.File] || f.Code == "directory_unreadable" && unreadable {
			continue
		}
		seen[key] = true
		kept = append(kept, f)
	}
	slices.SortStableFunc(kept, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Code, b.Code))
	})
	r := CheckReport{Findings: kept, Tests: len(c.tests), Situations: append([]string{}, c.tried...)}
	for _, s := range c.sources {
		if s.layer > 0 {
			r.Rules++
		}
	}
	return r
}

// A Situation is an input document with a name.
type Situation struct {
	Name  string
	Input policy.Input
}
