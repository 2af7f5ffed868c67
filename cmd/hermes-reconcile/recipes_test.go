package main

import (
	"testing"
	"testing/fstest"

	"hermes-reconcile/rego"
	"hermes-reconcile/rego/workbench"
)

// installed returns a recipe as a policy directory of an operator would hold it.
func installed(r workbench.Recipe) rego.Layer {
	files := fstest.MapFS{"data/settings.yaml": {Data: []byte(r.Settings)}}
	for name, text := range r.Files {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return rego.Layer{Name: r.Name, Files: files}
}

// Every recipe names only existing facts.
func TestRecipesFitTheFacts(t *testing.T) {
	schema, err := inputSchema()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range workbench.Recipes() {
		t.Run(r.Name, func(t *testing.T) {
			if _, err := rego.Load([]rego.Layer{rego.BuiltIn(), installed(r)}, rego.Options{Schema: schema}); err != nil {
				t.Error(err)
			}
		})
	}
}
