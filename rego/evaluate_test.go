package rego

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/policy"
)

// input makes an input document of profiles as JSON.
func input(profiles string) policy.Input {
	in := policy.Input{
		SchemaVersion: policy.SchemaVersion,
		Phase:         policy.PhaseBoot,
		Now:           policy.NewNow(time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)),
		Container:     policy.Facts{},
	}
	if err := json.Unmarshal([]byte(profiles), &in.Profiles); err != nil {
		panic(err)
	}
	return in
}

func evaluate(t *testing.T, files map[string]string, o Options, stage policy.Stage, in policy.Input) policy.Evaluation {
	t.Helper()
	o.Schema = []byte(schema)
	e, err := Load(operator(files), o)
	if err != nil {
		t.Fatal(err)
	}
	return deciding(e.Evaluate(t.Context(), stage, in))
}

// deciding leaves out what the built-in rules say of the restarts of every gateway.
func deciding(e policy.Evaluation) policy.Evaluation {
	e.Contributions = slices.DeleteFunc(e.Contributions, func(c policy.Contribution) bool { return c.Code == "crash_loop" })
	return e
}

const running = `{"coder": {"prior_state": {"status": "recorded", "desired": "running"}}}`

func TestContributionsSayWhichRuleMadeThem(t *testing.T) {
	t.Parallel()
	got := evaluate(t, map[string]string{"site.rego": `package reconcile.rules.site

hold contains {"profile": name, "reason": "first"} if {
	some name, _ in input.profiles
}

hold contains {"profile": name, "reason": "second", "code": "site", "until": "2026-11-23T00:00:00Z"} if {
	some name, _ in input.profiles
	count(hold_reasons) > 0
}

hold_reasons contains "x" if input.phase == "boot"
`}, Options{}, policy.StageRules, input(running))
	if len(got.Failures) > 0 {
		t.Fatalf("failures: %+v", got.Failures)
	}
	locations := map[string]string{}
	for _, c := range got.Contributions {
		locations[c.Reason] = fmt.Sprintf("%s %s %s %d", c.Set, c.Rule, c.Location, c.Layer)
	}
	for reason, want := range map[string]string{
		"first":                     "hold reconcile.rules.site /etc/policy/site.rego:3 1",
		"second":                    "hold reconcile.rules.site /etc/policy/site.rego:7 1",
		"desired state was running": "start reconcile.rules.prior_intent prior_intent.rego:10 0",
	} {
		if locations[reason] != want {
			t.Errorf("%q is of %q, want %q", reason, locations[reason], want)
		}
	}
}

// What breaks while it runs costs the package that broke, and says where.
func TestFailuresAreIsolated(t *testing.T) {
	t.Parallel()
	tests := []struct {
		why  string
		rule string
		want []string
	}{
		{"a conflict", `hold contains {"profile": name, "reason": reason} if some name, _ in input.profiles

reason := "a" if input.phase == "boot"

reason := "b" if input.phase == "boot"`, []string{"/etc/policy/site.rego:", "conflict"}},
		{"a builtin error", `hold contains {"profile": name, "reason": "x"} if {
	some name, profile in input.profiles
	to_number(profile.prior_state.desired) > 3
}`, []string{"/etc/policy/site.rego:5", "to_number"}},
		{"a member without a reason", `hold contains {"profile": name} if some name, _ in input.profiles`, []string{"/etc/policy/site.rego:3", `"reason" is missing`}},
		{"an empty reason", `hold contains {"profile": name, "reason": " "} if some name, _ in input.profiles`, []string{"site.rego:3", "reason is empty"}},
		{"an unknown key", `hold contains {"profile": name, "reason": "x", "untill": "tomorrow"} if some name, _ in input.profiles`, []string{"site.rego:3", `unknown key "untill"`, `"until"`}},
		{"a member of the wrong type", `hold contains name if some name, _ in input.profiles`, []string{"site.rego:3", "a member of hold is string", "want an object"}},
		{"a value of the wrong type", `delay contains {"profile": name, "seconds": "5", "reason": "x"} if some name, _ in input.profiles`, []string{"site.rego:3", "seconds is a string, want a number"}},
		{"a time that is none", `hold contains {"profile": name, "reason": "x", "until": "tomorrow"} if some name, _ in input.profiles`, []string{"site.rego:3", `until "tomorrow"`}},
		{"an environment name that is none", `env contains {"profile": name, "name": "A B", "value": "x", "reason": "x"} if some name, _ in input.profiles`, []string{"site.rego:3", "environment variable"}},
		{"a restart that says nothing", `restart contains {"profile": name, "reason": "x"} if some name, _ in input.profiles`, []string{"site.rego:3", "neither budget nor exit_codes"}},
		{"a restart with a misspelt budget", `restart contains {"profile": name, "reason": "x", "budget": {"death": 5}} if some name, _ in input.profiles`, []string{"site.rego:3", "budget", "window_seconds"}},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			got := evaluate(t, map[string]string{"site.rego": "package reconcile.rules.site\n\n" + test.rule + "\n"}, Options{}, policy.StageRules, input(running))
			if len(got.Failures) != 1 || got.Failures[0].Rule != "reconcile.rules.site" {
				t.Fatalf("failures %+v, want one of reconcile.rules.site", got.Failures)
			}
			text := got.Failures[0].Location + ": " + got.Failures[0].Error
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("failure %q does not contain %q", text, want)
				}
			}
			if strings.Contains(text, locatedPrefix) {
				t.Errorf("failure %q shows what the loader added", text)
			}
			if len(got.Contributions) != 1 || got.Contributions[0].Rule != "reconcile.rules.prior_intent" {
				t.Errorf("contributions %+v, want that of prior_intent and none of the broken package", got.Contributions)
			}
		})
	}
}

func TestAnEndlessRuleIsStopped(t *testing.T) {
	rule := `package reconcile.rules.site

hold contains {"profile": name, "reason": "x"} if {
	some name, _ in input.profiles
	some a in numbers.range(1, 100000)
	some b in numbers.range(1, 100000)
	a * b == -1
}
`
	got := evaluate(t, map[string]string{"site.rego": rule}, Options{Timeout: 50 * time.Millisecond}, policy.StageRules, input(running))
	if len(got.Failures) != 1 || !strings.Contains(got.Failures[0].Error, "not done after 50ms") {
		t.Fatalf("failures %+v, want one for the time limit", got.Failures)
	}
	if len(got.Contributions) != 1 {
		t.Errorf("contributions %+v, want that of prior_intent", got.Contributions)
	}

	e, err := load(map[string]string{"site.rego": rule})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, f := range e.Evaluate(ctx, policy.StageRules, input(running)).Failures {
		if !strings.Contains(f.Error, "context canceled") {
			t.Errorf("failure %+v, want one that says that the run was stopped", f)
		}
	}
}

func TestAfterRulesSeeTheDecisions(t *testing.T) {
	t.Parallel()
	files := map[string]string{"stagger.rego": `package reconcile.after.stagger

delay contains {"profile": name, "seconds": 5 * position, "reason": "one after the other"} if {
	going_up := sort([n | some n, d in input.decisions; d.action == "start"])
	some position, name in going_up
}
`}
	in := input(running)
	in.Decisions = map[string]policy.Verdict{"coder": {Action: "start"}, "default": {Action: "down"}, "writer": {Action: "start"}}
	got := evaluate(t, files, Options{}, policy.StageAfter, in)
	seconds := map[string]float64{}
	for _, c := range got.Contributions {
		seconds[c.Profile] = c.Seconds
	}
	if len(got.Failures) > 0 || len(seconds) != 2 || seconds["writer"] != 5 {
		t.Fatalf("got %+v %+v, want coder after 0 s and writer after 5 s", seconds, got.Failures)
	}
	if first := evaluate(t, files, Options{}, policy.StageRules, input(running)); len(first.Contributions) != 1 {
		t.Errorf("%+v: an after package ran with the first ones", first.Contributions)
	}
}

func TestDisabledRules(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"prior_intent", "reconcile.rules.prior_intent"} {
		got := evaluate(t, nil, Options{Settings: map[string]any{"disabled_rules": []any{name}}}, policy.StageRules, input(running))
		if len(got.Contributions)+len(got.Failures) != 0 {
			t.Errorf("%s is off and contributes %+v", name, got)
		}
	}
}

// The clock that time builtins see is that of the input document.
func TestTimeIsThatOfTheInput(t *testing.T) {
	t.Parallel()
	got := evaluate(t, map[string]string{"night.rego": `package reconcile.rules.night

hold contains {"profile": name, "reason": "night"} if {
	[hour, _, _] := time.clock([input.now.unix_ns, "Europe/Zurich"])
	hour == 7
	some name, _ in input.profiles
}
`}, Options{}, policy.StageRules, input(running))
	if len(got.Failures) > 0 || len(got.Contributions) != 2 {
		t.Fatalf("got %+v, want a hold at 06:00 UTC, which is 07:00 in Zurich", got)
	}
}

// A member that is bad is bad for every profile; one is told and the rest counted.
func TestFailuresOfOnePackageAreFew(t *testing.T) {
	t.Parallel()
	profiles := map[string]string{}
	for i := range 100 {
		profiles[fmt.Sprintf("p%d", i)] = "x"
	}
	text, err := json.Marshal(profiles)
	if err != nil {
		t.Fatal(err)
	}
	got := evaluate(t, map[string]string{"site.rego": `package reconcile.rules.site

hold contains {"profile": name, "reason": "x", name: "x"} if some name, _ in input.profiles
`}, Options{}, policy.StageRules, input(strings.ReplaceAll(string(text), `"x"`, "{}")))
	if len(got.Failures) != 3 || !strings.Contains(got.Failures[2].Error, "(and 97 more)") {
		t.Errorf("failures %+v, want three, of which the last counts 97 more", got.Failures)
	}
}
