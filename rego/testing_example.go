package rego

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"

	"hermes-reconcile/policy"
)

//go:embed scaffold
var scaffold embed.FS

const (
	// ExampleFile is where `policy init` writes the library of example facts. Its
	// name is that of a test, so that no boot loads it.
	ExampleFile = "lib/example_test.rego"

	examplePackage = "reconcile.lib.example"
)

// ExampleLibrary returns the package data.reconcile.lib.example as Rego: a
// complete input document, and functions that change what a test is about.
func ExampleLibrary() ([]byte, error) {
	head, err := scaffold.ReadFile("scaffold/example.rego")
	if err != nil {
		return nil, err
	}
	document, err := scaffold.ReadFile("scaffold/situations/example.json")
	if err != nil {
		return nil, err
	}
	text := strings.TrimRight(string(head), "\n") + "\n\ndocument := " + string(document)
	formatted, err := format.SourceWithOpts(ExampleFile, []byte(text), format.Opts{RegoVersion: ast.RegoV1})
	if err != nil {
		return nil, fmt.Errorf("the library of example facts: %w", err)
	}
	return formatted, nil
}

// exampleInput reads one of the embedded input documents.
func exampleInput(name string) policy.Input {
	text, err := scaffold.ReadFile("scaffold/situations/" + name + ".json")
	var in policy.Input
	if err == nil {
		err = json.Unmarshal(text, &in)
	}
	if err != nil {
		panic(err) // the file is compiled in
	}
	return in
}
