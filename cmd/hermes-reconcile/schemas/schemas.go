// Package schemas has a JSON Schema for each document that a command prints. A test of the
// commands makes the files from the Go types. The schema of the input document is not here: it
// is made from the fact sources.
package schemas

import (
	"embed"
	"fmt"
	"slices"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
)

//go:embed *.schema.json
var files embed.FS

// Input is the name of the schema of the input document.
const Input = "input"

// A Document is one that commands print with --output json.
type Document struct {
	Name     string   `json:"name"`
	Commands []string `json:"commands"` // that print it
}

// Documents are all documents, sorted by name.
var Documents = []Document{
	{"accepted", []string{"watch --accept"}},
	{"check", []string{"policy check"}},
	{"codes", []string{"policy check --codes"}},
	{"comparison", []string{"eval --compare"}},
	{"config", []string{"config show"}},
	{"costs", []string{"policy bench"}},
	{"decision", []string{"boot", "eval", "apply --dry-run"}},
	{"doctor", []string{"doctor"}},
	{"error", []string{"any command that fails, on standard error"}},
	{"events", []string{"events (each line)"}},
	{"explain", []string{"explain"}},
	{"files", []string{"policy add", "policy fmt", "policy init"}},
	{"forgotten", []string{"policy forget"}},
	{Input, []string{"facts"}},
	{"log", []string{"log"}},
	{"logs", []string{"logs (each line)"}},
	{"match", []string{"explain --rule"}},
	{"recipes", []string{"policy recipes"}},
	{"report", []string{"apply", "pause", "register", "release", "restart", "resume", "start", "stop", "unregister"}},
	{"rescan", []string{"rescan"}},
	{"rules", []string{"policy show"}},
	{"schemas", []string{"schema"}},
	{"status", []string{"status"}},
	{"tests", []string{"policy test"}},
	{"version", []string{"version"}},
}

// Names are the names of all documents.
func Names() (names []string) {
	for _, d := range Documents {
		names = append(names, d.Name)
	}
	return names
}

// Of returns the schema of a document other than the input document. The error suggests another
// name.
func Of(name string) ([]byte, error) {
	switch {
	case name == "decision":
		return []byte(policy.DecisionSchema), nil
	case !slices.Contains(Names(), name):
		return nil, fmt.Errorf("unknown schema %q%s", name, suggest.Words(name, Names()))
	}
	return files.ReadFile(name + ".schema.json")
}
