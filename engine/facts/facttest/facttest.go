// Package facttest looks at facts in tests: whether they fit their schemas, and what they say.
package facttest

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
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
	return Check(t, Container, s.Name(), value)
}

// Where the facts about the container, and those about a profile, are in the input document.
const (
	Container = "container"
	Profile   = "profiles/additionalProperties"
)

// Check returns the value of a fact as JSON. The value must fit its schema and have a status.
func Check(t testing.TB, of, name string, value any) map[string]any {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	schema, err := compiler().Compile("input.json#/properties/" + of + "/properties/" + name)
	if err != nil {
		t.Fatalf("%v: go test ./cmd/hermes-reconcile -run SchemaFiles -update", err)
	}
	if err := schema.Validate(instance); err != nil {
		t.Errorf("%s: %s\n%v", name, text, err)
	}
	object, ok := instance.(map[string]any)
	if !ok || object["status"] == "" || object["status"] == nil {
		t.Errorf("%s: %s has no status", name, text)
	}
	return object
}

// compiler has the schema of the input document, and keeps what it compiled.
var compiler = sync.OnceValue(func() *jsonschema.Compiler {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(policy.InputSchema))
	if err != nil {
		panic(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("input.json", document); err != nil {
		panic(err)
	}
	return c
})

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
