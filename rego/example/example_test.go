package example

import (
	"embed"
	"reflect"
	"testing"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

// The built-in rules alone are compiled without what only looks for mistakes, and
// decide as they do with it.
func TestBuiltInNeedsNoChecks(t *testing.T) {
	t.Parallel()
	checked, err := rego.Load([]rego.Layer{rego.BuiltIn(), {Name: "empty", Files: embed.FS{}}}, rego.Options{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	unchecked, err := rego.Load([]rego.Layer{rego.BuiltIn()}, rego.Options{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Situations() {
		got := unchecked.Evaluate(t.Context(), policy.StageRules, s.Input)
		want := checked.Evaluate(t.Context(), policy.StageRules, s.Input)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("situation %s: unchecked rules say %+v\nwant %+v", s.Name, got, want)
		}
	}
}
