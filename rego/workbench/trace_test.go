package workbench

import (
	"encoding/json"
	"strings"
	"testing"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

func TestTraceShowsOneProfileAndPrints(t *testing.T) {
	t.Parallel()
	e, err := rego.Load(siteLayers(map[string]string{"site.rego": `package reconcile.rules.site

hold contains {"profile": name, "reason": "x"} if {
	some name, profile in input.profiles
	print("looking at", name)
	profile.prior_state.desired == "running"
}
`}), rego.Options{Trace: true})
	if err != nil {
		t.Fatal(err)
	}
	in := policy.Input{Profiles: map[string]policy.Facts{
		"coder":  {"prior_state": json.RawMessage(`{"desired": "running"}`)},
		"writer": {"prior_state": json.RawMessage(`{"desired": "stopped"}`)},
	}}
	out, err := Trace(t.Context(), e, []string{"reconcile.rules.site"}, in, "coder")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"-- reconcile.rules.site\n", "site.rego:6", "print site/site.rego:5: looking at coder\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("the trace has no %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, `name = "writer"`) || strings.Contains(out, "located__") {
		t.Errorf("the trace shows another profile, or what the loader added:\n%s", out)
	}
}
