// Package facttest looks at facts in tests: whether they fit their schemas, and what they say.
package facttest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/policy"
)

// Secret is what no fact may hold.
const Secret = "hunter2-1234567890"

// Collect returns the value of a fact about the container as JSON. It checks the value.
func Collect(t testing.TB, s fact.Source) map[string]any {
	t.Helper()
	value, err := s.Collect(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", s.Name(), err)
	}
	return Check(t, s.Name(), Schema(t, "container", s.Name()), value)
}

// Check returns a value as JSON. The value must fit the schema of its source and have a status.
func Check(t testing.TB, name, schema string, value any) map[string]any {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := compiled(t, name, schema).Validate(instance); err != nil {
		t.Errorf("%s: %s\n%v", name, text, err)
	}
	object, ok := instance.(map[string]any)
	if !ok || object["status"] == "" || object["status"] == nil {
		t.Errorf("%s: %s has no status", name, text)
	}
	return object
}

// Schema returns the schema of a fact, of the container or of a profile.
func Schema(t testing.TB, of, name string) string {
	t.Helper()
	type facts struct {
		Properties map[string]json.RawMessage
	}
	var input struct {
		Properties struct {
			Container facts
			Profiles  struct{ AdditionalProperties facts }
		}
	}
	if err := json.Unmarshal(policy.InputSchema, &input); err != nil {
		t.Fatal(err)
	}
	all := input.Properties.Container
	if of == "profile" {
		all = input.Properties.Profiles.AdditionalProperties
	}
	if all.Properties[name] == nil {
		t.Fatalf("policy.InputSchema has no fact %s of the %s: go test ./cmd/hermes-reconcile -run SchemaFiles -update", name, of)
	}
	return string(all.Properties[name])
}

var schemas = map[string]*jsonschema.Schema{}

func compiled(t testing.TB, name, text string) *jsonschema.Schema {
	t.Helper()
	if schemas[text] == nil {
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatalf("schema of %s: %v", name, err)
		}
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource(name+".json", document); err != nil {
			t.Fatalf("schema of %s: %v", name, err)
		}
		schemas[text] = compiler.MustCompile(name + ".json")
	}
	return schemas[text]
}

// Get returns the value below some keys of a fact as JSON, or "absent".
func Get(fact map[string]any, keys ...string) string {
	var at any = fact
	for _, key := range keys {
		m, ok := at.(map[string]any)
		if !ok {
			return "absent"
		}
		if at, ok = m[key]; !ok {
			return "absent"
		}
	}
	text, _ := json.Marshal(at) // it was JSON
	return string(text)
}

// Want compares values of a fact: JSON by keys with slashes between them.
func Want(t testing.TB, fact map[string]any, want map[string]string) {
	t.Helper()
	for keys, text := range want {
		if got := Get(fact, strings.Split(keys, "/")...); got != text {
			t.Errorf("%s is %s, want %s in %v", keys, got, text, fact)
		}
	}
}

// NoSecret wants a fact without Secret.
func NoSecret(t testing.TB, name string, fact map[string]any) {
	t.Helper()
	if text, _ := json.Marshal(fact); strings.Contains(string(text), "hunter2") {
		t.Errorf("%s holds the secret: %s", name, text)
	}
}
