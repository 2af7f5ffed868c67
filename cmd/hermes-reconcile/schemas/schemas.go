// Package schemas has a JSON Schema for each document that a command prints. A test of the
// commands makes the files from the Go types.
package schemas

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
)

//go:embed *.schema.json
var files embed.FS

// Names are the names of all documents, sorted.
func Names() []string {
	names := []string{"decision", "input"}
	entries, _ := files.ReadDir(".") // the directory is compiled in
	for _, entry := range entries {
		names = append(names, strings.TrimSuffix(entry.Name(), ".schema.json"))
	}
	slices.Sort(names)
	return names
}

// Of returns the schema of a document. The error suggests another name.
func Of(name string) ([]byte, error) {
	switch {
	case name == "decision":
		return []byte(policy.DecisionSchema), nil
	case name == "input":
		return policy.InputSchema, nil
	case !slices.Contains(Names(), name):
		return nil, fmt.Errorf("unknown schema %q%s", name, suggest.Words(name, Names()))
	}
	return files.ReadFile(name + ".schema.json")
}
