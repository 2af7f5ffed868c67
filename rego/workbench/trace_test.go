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
	m, ok, err := MatchOf(t.Context(), e, []string{"reconcile.rules.site"}, "site", in, "coder", true)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	out := m.Rules[0].Trace + strings.Join(m.Rules[0].Printed, "\n")
	for _, want := range []string{"site.rego:6", "site/site.rego:5: looking at coder"} {
		if !strings.Contains(out, want) {
			t.Errorf("the trace has no %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, `name = "writer"`) || strings.Contains(out, "located__") {
		t.Errorf("the trace shows another profile, or what the loader added:\n%s", out)
	}
}
