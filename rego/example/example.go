// Package example holds example facts: the situations on which rules are tried, and the
// library that tests of rules use.
package example

import (
	"embed"
	"encoding/json"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

//go:embed example.rego situations
var files embed.FS

const (
	// LibraryFile is where `policy init` writes the library. It has the name of a test,
	// so that no boot loads it.
	LibraryFile = "lib/example_test.rego"
	// LibraryPackage is the package of the library.
	LibraryPackage = "reconcile.lib.example"
)

// Library returns the package data.reconcile.lib.example as Rego: a complete input
// document, and functions that change what a test is about.
func Library() []byte {
	head := strings.TrimRight(string(rego.CompiledIn(files.ReadFile("example.rego"))), "\n")
	text := head + "\n\ndocument := " + string(rego.CompiledIn(files.ReadFile("situations/example.json")))
	return rego.CompiledIn(format.SourceWithOpts(LibraryFile, []byte(text), format.Opts{RegoVersion: ast.RegoV1}))
}

// TestModules returns copies of the modules that a test of rules sees: the rules, the
// tests, and the library unless a directory has its own.
func TestModules(rules, tests []rego.Source) map[string]*ast.Module {
	modules := map[string]*ast.Module{}
	own := false
	for _, s := range slices.Concat(rules, tests) {
		modules[s.Name] = s.Module.Copy()
		own = own || s.Package() == LibraryPackage
	}
	if !own {
		modules[LibraryFile] = rego.CompiledIn(rego.Parse(0, LibraryFile, Library())).Module
	}
	return modules
}

// NewTestCompiler returns a compiler for tests. It allows unused variables, as
// `opa test` does, and the same builtins as a boot.
func NewTestCompiler() *ast.Compiler {
	return rego.NewCompiler().WithStrict(false).WithEnablePrintStatements(true)
}

// read reads one of the embedded input documents.
func read(name string) (in policy.Input) {
	text := rego.CompiledIn(files.ReadFile("situations/" + name + ".json"))
	err := json.Unmarshal(text, &in)
	return rego.CompiledIn(in, err)
}
