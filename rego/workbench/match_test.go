package workbench

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

// brief writes where a rule stopped: each expression with "?" for undefined or "!" for
// false, and its values.
func (r RuleMatch) brief() string {
	if len(r.Says) > 0 || r.Failure != "" {
		return strings.Join(r.Says, "; ") + r.Failure
	}
	var all []string
	for _, s := range r.Stopped {
		text := s.Location[strings.LastIndex(s.Location, ":")+1:] + " " + s.Expression + "!"
		if s.Undefined {
			text = strings.TrimSuffix(text, "!") + "?"
		}
		for _, v := range s.Values {
			value, _ := json.Marshal(v.Value)
			if !v.Present {
				value = []byte("none")
			}
			text += fmt.Sprintf(" %s=%s", v.Name, value)
		}
		all = append(all, text)
	}
	return strings.Join(all, " <- ")
}

func TestMatchSaysWhereARuleStopped(t *testing.T) {
	t.Parallel()
	tests := []struct{ why, body, want string }{
		{"applies", `profile.prior_state.desired == "running"`, "why"},
		{"false", `profile.prior_state.desired == "stopped"`, `6 profile.prior_state.desired == "stopped"! profile.prior_state.desired="running"`},
		{"undefined", `profile.prior_state.gateway == "running"`, `6 profile.prior_state.gateway == "running"? profile.prior_state.gateway=none`},
		{"the first of several", "input.phase == \"boot\"\n\tinput.phase == \"apply\"\n\tprofile.none.x", `7 input.phase == "apply"! input.phase="boot"`},
		{"a comparison of a call", `count(profile.ports.ports) > 3`, `6 count(profile.ports.ports) > 3! count(profile.ports.ports)=2`},
		{"not", `not profile.prior_state.desired`, `6 not profile.prior_state.desired! profile.prior_state.desired="running"`},
		{"a list without the profile", "name in data.settings.names", `6 name in data.settings.names! name="coder" data.settings.names=["writer"]`},
		{"a helper", "_late(input.now)", "6 _late(input.now)? <- 10 now.minute > 3! now.minute=0"},
		{"the furthest of two helpers", `_odd(profile)`, `6 _odd(profile)? <- 16 p.prior_state.desired == "x"! p.prior_state.desired="running"`},
		{"breaks", `to_number(profile.prior_state.desired) > 3`, "to_number"},
	}
	in := policy.Input{SchemaVersion: 1, Phase: "boot", Profiles: map[string]policy.Facts{
		"coder":  {"prior_state": json.RawMessage(`{"desired": "running"}`), "ports": json.RawMessage(`{"ports": [1, 2]}`)},
		"writer": {"prior_state": json.RawMessage(`{"desired": "stopped", "gateway": "running"}`), "none": json.RawMessage(`{"x": true}`)},
	}}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			t.Parallel()
			e, err := rego.Load(siteLayers(map[string]string{
				"site.rego": "package reconcile.rules.site\n\nhold contains object.union({\"profile\": name}, {\"reason\": \"why\"}) if {\n\tsome name, profile in input.profiles\n\n\t" + test.body +
					"\n}\n\n_late(now) if {\n\tnow.minute > 3\n}\n\n_odd(p) if p.prior_state.none == 1\n_odd(p) if {\n\tp.ports\n\tp.prior_state.desired == \"x\"\n}\n",
				"data/settings.yaml": "settings: {names: [writer]}\n",
			}), rego.Options{})
			if err != nil {
				t.Fatal(err)
			}
			m, ok, err := MatchOf(t.Context(), e, []string{"reconcile.rules.site"}, "site", in, "coder")
			if err != nil || !ok || len(m.Rules) != 1 {
				t.Fatalf("the rule is known: %v, %v; it has %d rules", ok, err, len(m.Rules))
			}
			if got := m.Rules[0].brief(); !strings.Contains(got, test.want) || test.want == "" {
				t.Errorf("it stopped at\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestMatchShowsWhatTheRulePrints(t *testing.T) {
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
	m, ok, err := MatchOf(t.Context(), e, []string{"reconcile.rules.site"}, "site", in, "coder")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if got := strings.Join(m.Rules[0].Printed, "; "); got != "site/site.rego:5: looking at coder" {
		t.Errorf("it prints %q, want only what is about coder", got)
	}
}
