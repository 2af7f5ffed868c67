package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"hermes-reconcile/policy"
)

var now = time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)

// situation returns an input document with the given profiles, each a JSON object of facts.
func situation(profiles map[string]string) policy.Input {
	in := policy.Input{Phase: policy.PhaseBoot, Now: policy.NewNow(now), Profiles: map[string]policy.Facts{}}
	for name, text := range profiles {
		var facts policy.Facts
		if err := json.Unmarshal([]byte(text), &facts); err != nil {
			panic(err)
		}
		in.Profiles[name] = facts
	}
	return in
}

func TestPrecedence(t *testing.T) {
	start := policy.Contribution{Set: policy.SetStart, Rule: "r.start", Profile: "coder", Code: "wanted", Reason: "was running"}
	hold := policy.Contribution{Set: policy.SetHold, Rule: "r.hold", Profile: "coder", Code: "held_back", Reason: "not today"}
	waive := policy.Contribution{Set: policy.SetWaive, Rule: "r.waive", Profile: "coder", Waives: "r.hold", Reason: "today yes"}
	skip := policy.Contribution{Set: policy.SetSkip, Rule: "r.skip", Profile: "coder", Reason: "no profile"}
	skipAll := policy.Contribution{Set: policy.SetSkip, Rule: "r.role", Code: "role", Reason: "a dashboard"}
	until := func(at time.Time) policy.Contribution {
		h := hold
		h.Until = at.Format(time.RFC3339)
		return h
	}
	tests := []struct {
		why    string
		given  []policy.Contribution
		action policy.Action
		code   string
	}{
		{"nothing is said", nil, policy.ActionDown, policy.CodeNoStartRule},
		{"a start", []policy.Contribution{start}, policy.ActionStart, "wanted"},
		{"a hold wins over a start", []policy.Contribution{start, hold}, policy.ActionDown, "held_back"},
		{"a waived hold does not count", []policy.Contribution{start, hold, waive}, policy.ActionStart, "wanted"},
		{"a waiver without a start starts nothing", []policy.Contribution{hold, waive}, policy.ActionDown, policy.CodeNoStartRule},
		{"a hold whose time has not come holds", []policy.Contribution{start, until(now.Add(time.Second))}, policy.ActionDown, "held_back"},
		{"a hold ends at its time", []policy.Contribution{start, until(now)}, policy.ActionStart, "wanted"},
		{"a skip of the profile wins over all of it", []policy.Contribution{start, hold, waive, skip}, policy.ActionSkip, policy.CodeSkipped},
		{"a skip of the container wins over that", []policy.Contribution{start, skip, skipAll}, policy.ActionSkip, "role"},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			d := Combine(situation(map[string]string{"coder": "{}"}), policy.Evaluation{Contributions: test.given}, HoldOnRuleError)
			got := d.Profiles["coder"]
			if got.Action != test.action || got.Code != test.code || got.Reason == "" {
				t.Errorf("%s (%s): %q, want %s (%s) with a reason", got.Action, got.Code, got.Reason, test.action, test.code)
			}
			if profileOnly := slices.DeleteFunc(slices.Clone(test.given), func(c policy.Contribution) bool { return c.Profile == "" }); len(got.Contributions) != len(profileOnly) {
				t.Errorf("%d contributions, want all %d, including those that did not win", len(got.Contributions), len(profileOnly))
			}
		})
	}
}

// A waiver names one rule; the holds of another stay.
func TestAWaiverCancelsOnlyTheRuleItNames(t *testing.T) {
	d := Combine(situation(map[string]string{"coder": "{}"}), policy.Evaluation{Contributions: []policy.Contribution{
		{Set: policy.SetStart, Rule: "r.start", Profile: "coder", Reason: "x"},
		{Set: policy.SetHold, Rule: "r.one", Profile: "coder", Reason: "x"},
		{Set: policy.SetHold, Rule: "r.two", Profile: "coder", Code: "two", Reason: "x"},
		{Set: policy.SetWaive, Rule: "r.waive", Profile: "coder", Waives: "r.one", Reason: "x"},
	}}, HoldOnRuleError)
	if got := d.Profiles["coder"]; got.Action != policy.ActionDown || got.Code != "two" {
		t.Errorf("%s (%s), want down (two)", got.Action, got.Code)
	}
}

func TestABrokenRule(t *testing.T) {
	in := situation(map[string]string{"coder": "{}", "writer": "{}"})
	e := policy.Evaluation{
		Contributions: []policy.Contribution{{Set: policy.SetStart, Rule: "r.start", Profile: "coder", Reason: "was running"}},
		Failures:      []policy.RuleFailure{{Rule: "r.broken", Location: "x.rego:5", Error: "conflict"}},
	}
	held := Combine(in, e, HoldOnRuleError)
	if got := held.Profiles["coder"]; got.Action != policy.ActionDown || got.Code != policy.CodeRuleError {
		t.Errorf("%s (%s), want down (rule_error): its holds are unknown", got.Action, got.Code)
	}
	if got := held.Profiles["writer"]; got.Code != policy.CodeNoStartRule {
		t.Errorf("writer is down by %s, want no_start_rule: it would not start anyway", got.Code)
	}
	ignored := Combine(in, e, IgnoreRuleError)
	if got := ignored.Profiles["coder"]; got.Action != policy.ActionStart {
		t.Errorf("%s, want start where errors are ignored", got.Action)
	}
	for _, d := range []policy.Decisions{held, ignored} {
		if len(d.Alarms) != 1 || d.Alarms[0].Reason != "x.rego:5: r.broken: conflict" {
			t.Errorf("alarms %+v, want one with the place", d.Alarms)
		}
	}
}

// A rule cannot sweep a file that the facts do not offer, and cannot decide for an unknown
// profile. Such a contribution is shown and has no effect.
func TestWhatTheFactsDoNotOffer(t *testing.T) {
	in := situation(map[string]string{"coder": `{"runtime_files": {"files": {
		"gateway.pid": {"status": "recorded", "sweepable": true, "identity": "i1"},
		"processes.json": {"status": "recorded", "sweepable": false}}}}`})
	d := Combine(in, policy.Evaluation{Contributions: []policy.Contribution{
		{Set: policy.SetSweep, Rule: "r", Profile: "coder", File: "gateway.pid", Reason: "x"},
		{Set: policy.SetSweep, Rule: "r", Profile: "coder", File: "processes.json", Reason: "x"},
		{Set: policy.SetSweep, Rule: "r", Profile: "coder", File: "../../etc/passwd", Reason: "x"},
		{Set: policy.SetSweep, Rule: "r", Profile: "coder", File: "SOUL.md", Reason: "x"},
		{Set: policy.SetStart, Rule: "r", Profile: "codr", Reason: "x"},
	}}, HoldOnRuleError)
	coder := d.Profiles["coder"]
	if diff := cmp.Diff(policy.List[string]{"gateway.pid"}, coder.Sweep); diff != "" {
		t.Errorf("sweep (-want +got):\n%s", diff)
	}
	if coder.Identities["gateway.pid"] != "i1" {
		t.Errorf("identity %q, want the identity in the fact", coder.Identities["gateway.pid"])
	}
	var codes []string
	for _, a := range d.Alarms {
		codes = append(codes, a.Code)
	}
	if diff := cmp.Diff([]string{"unknown_profile", "sweep_refused", "sweep_refused", "sweep_refused"}, codes); diff != "" {
		t.Errorf("alarms (-want +got):\n%s", diff)
	}
	if len(d.Profiles) != 1 {
		t.Errorf("%d decisions, want one: a rule cannot create a profile", len(d.Profiles))
	}
}

func TestValuesOfSeveralRules(t *testing.T) {
	in := situation(map[string]string{"coder": `{"prior_state": {"status": "missing"}}`})
	d := Combine(in, policy.Evaluation{Contributions: []policy.Contribution{
		{Set: policy.SetDelay, Rule: "r.a", Profile: "coder", Seconds: 5, Reason: "x"},
		{Set: policy.SetDelay, Rule: "r.b", Profile: "coder", Seconds: 3, Reason: "x"},
		{Set: policy.SetEnv, Rule: "r.a", Profile: "coder", Name: "PORT", Value: "1", Reason: "x"},
		{Set: policy.SetEnv, Rule: "r.b", Layer: 1, Profile: "coder", Name: "PORT", Value: "2", Reason: "x"},
		{Set: policy.SetEnv, Rule: "r.b", Profile: "coder", Name: "MODE", Value: "x", Reason: "x"},
		{Set: policy.SetEnv, Rule: "r.c", Profile: "coder", Name: "MODE", Value: "x", Reason: "x"},
		{Set: policy.SetSeed, Rule: "r.a", Profile: "coder", State: "running", Reason: "x"},
		{Set: policy.SetSeed, Rule: "r.b", Profile: "coder", State: "stopped", Reason: "x"},
	}}, HoldOnRuleError)
	got := d.Profiles["coder"]
	if got.DelaySeconds != 5 {
		t.Errorf("delay %g, want the longest, 5", got.DelaySeconds)
	}
	if diff := cmp.Diff(map[string]string{"PORT": "2", "MODE": "x"}, got.Env); diff != "" {
		t.Errorf("env: the higher layer wins (-want +got):\n%s", diff)
	}
	if got.Seed == nil || got.Seed.State != "running" {
		t.Errorf("seed %+v, want the seed of the first rule by name", got.Seed)
	}
	if len(d.Alarms) != 2 {
		t.Errorf("alarms %+v, want one for PORT and one for the seed, none for values that agree", d.Alarms)
	}
}

// The highest priority wins over layer and name, without an alarm: it says which rule is the
// exception.
func TestPriority(t *testing.T) {
	restart := func(deaths int) *policy.Restart {
		return &policy.Restart{Budget: &policy.Budget{Deaths: deaths, WindowSeconds: 60}}
	}
	in := situation(map[string]string{"coder": "{}", "writer": "{}"})
	d := Combine(in, policy.Evaluation{Contributions: []policy.Contribution{
		{Set: policy.SetRestart, Rule: "r.builtin", Profile: "coder", Priority: -1, Restart: restart(20), Reason: "x"},
		{Set: policy.SetRestart, Rule: "r.builtin", Profile: "writer", Priority: -1, Restart: restart(20), Reason: "x"},
		{Set: policy.SetRestart, Rule: "r.general", Layer: 1, Profile: "coder", Restart: restart(5), Reason: "x"},
		{Set: policy.SetRestart, Rule: "r.general", Layer: 1, Profile: "writer", Restart: restart(5), Reason: "x"},
		{Set: policy.SetRestart, Rule: "r.last", Layer: 1, Profile: "coder", Priority: 1, Restart: restart(2), Reason: "x"},
		{Set: policy.SetRestart, Rule: "r.later", Layer: 2, Profile: "coder", Restart: restart(7), Reason: "x"},
		{Set: policy.SetEnv, Rule: "r.a", Profile: "coder", Name: "PORT", Value: "1", Reason: "x"},
		{Set: policy.SetEnv, Rule: "r.b", Profile: "coder", Name: "PORT", Value: "2", Priority: 1, Reason: "x"},
	}}, HoldOnRuleError)
	coder, writer := d.Profiles["coder"], d.Profiles["writer"]
	if coder.Restart.Budget.Deaths != 2 || writer.Restart.Budget.Deaths != 5 || coder.Env["PORT"] != "2" {
		t.Errorf("coder %d deaths, PORT %s; writer %d deaths", coder.Restart.Budget.Deaths, coder.Env["PORT"], writer.Restart.Budget.Deaths)
	}
	if len(d.Alarms) > 0 {
		t.Errorf("alarms %+v", d.Alarms)
	}
}

// A seed never replaces an existing state file, whatever its content.
func TestSeedOnlyWhereThereIsNoState(t *testing.T) {
	seed := policy.Evaluation{Contributions: []policy.Contribution{{Set: policy.SetSeed, Rule: "r", Profile: "coder", State: "running", Reason: "x"}}}
	for _, status := range []string{"recorded", "invalid", "unreadable", "empty", "timed_out", "failed"} {
		in := situation(map[string]string{"coder": fmt.Sprintf(`{"prior_state": {"status": %q}}`, status)})
		if got := Combine(in, seed, HoldOnRuleError).Profiles["coder"].Seed; got != nil {
			t.Errorf("seed %+v with a state that is %s", got, status)
		}
	}
}

// Without a start, the reason of a profile names its prior state.
func TestReasonNamesThePriorState(t *testing.T) {
	for facts, want := range map[string]string{
		`{"prior_state": {"status": "missing"}}`:                                "no rule starts it; it has no state yet",
		`{"prior_state": {"status": "recorded", "desired": "stopped"}}`:         `no rule starts it; its prior state is "stopped"`,
		`{"prior_state": {"status": "recorded", "gateway": "a\nb"}}`:            `no rule starts it; its prior state is "a\nb"`,
		`{"prior_state": {"status": "invalid", "error": "not JSON at byte 3"}}`: "no rule starts it; its state file is invalid: not JSON at byte 3",
		`{"prior_state": {"status": "timed_out"}}`:                              "no rule starts it; its state file is timed out",
		`{}`: "no rule starts it; nothing is known of its prior state",
	} {
		got := Combine(situation(map[string]string{"coder": facts}), policy.Evaluation{}, HoldOnRuleError).Profiles["coder"]
		if got.Reason != want {
			t.Errorf("%s: %q, want %q", facts, got.Reason, want)
		}
	}
}

// contributions generates any contributions, for known and unknown profiles.
func contributions() *rapid.Generator[[]policy.Contribution] {
	one := rapid.Custom(func(t *rapid.T) policy.Contribution {
		c := policy.Contribution{
			Set:     rapid.SampledFrom(policy.Sets).Draw(t, "set"),
			Rule:    rapid.SampledFrom([]string{"r.a", "r.b", "r.c"}).Draw(t, "rule"),
			Layer:   rapid.IntRange(0, 2).Draw(t, "layer"),
			Profile: rapid.SampledFrom([]string{"", "coder", "default", "nobody"}).Draw(t, "profile"),
			Reason:  rapid.SampledFrom([]string{"x", "y"}).Draw(t, "reason"),
			Code:    rapid.SampledFrom([]string{"", "one", "two"}).Draw(t, "code"),

			Priority: rapid.SampledFrom([]float64{-1, 0, 0.5}).Draw(t, "priority"),
		}
		switch c.Set {
		case policy.SetWaive:
			c.Waives = rapid.SampledFrom([]string{"r.a", "r.b", "r.x"}).Draw(t, "waives")
		case policy.SetHold:
			c.Until = rapid.SampledFrom([]string{"", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"}).Draw(t, "until")
		case policy.SetRecheck:
			c.At = rapid.SampledFrom([]string{"2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"}).Draw(t, "at")
		case policy.SetSweep:
			c.File = rapid.SampledFrom([]string{"gateway.pid", "processes.json", "SOUL.md", "../x"}).Draw(t, "file")
		case policy.SetDelay:
			c.Seconds = rapid.SampledFrom([]float64{0, 1, 2.5}).Draw(t, "seconds")
		case policy.SetEnv:
			c.Name = rapid.SampledFrom([]string{"A", "B"}).Draw(t, "name")
			c.Value = rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")
		case policy.SetSeed:
			c.State = rapid.SampledFrom([]string{"running", "stopped"}).Draw(t, "state")
		case policy.SetRestart:
			c.Restart = &policy.Restart{ExitCodes: map[string]string{"1": rapid.SampledFrom([]string{"now", "never"}).Draw(t, "answer")}}
		}
		return c
	})
	return rapid.SliceOfN(one, 0, 12)
}

// For any contributions, every profile gets one decision with a known action and a reason,
// and no decision sweeps a file that the facts do not offer.
func TestCombineIsTotal(t *testing.T) {
	in := situation(map[string]string{
		"default": `{}`,
		"coder": `{"prior_state": {"status": "missing"}, "runtime_files": {"files": {
			"gateway.pid": {"sweepable": true}, "processes.json": {"sweepable": false}}}}`,
	})
	rapid.Check(t, func(t *rapid.T) {
		given := contributions().Draw(t, "contributions")
		failures := rapid.SampledFrom([][]policy.RuleFailure{nil, {{Rule: "r.a", Error: "x"}}}).Draw(t, "failures")
		d := Combine(in, policy.Evaluation{Contributions: given, Failures: failures}, HoldOnRuleError)
		if len(d.Profiles) != 2 {
			t.Fatalf("%d decisions, want 2", len(d.Profiles))
		}
		for name, p := range d.Profiles {
			if p.Action != policy.ActionStart && p.Action != policy.ActionDown && p.Action != policy.ActionSkip || p.Code == "" || p.Reason == "" {
				t.Fatalf("%s: %+v", name, p)
			}
			if p.Action == policy.ActionStart && len(failures) > 0 {
				t.Fatalf("%s starts though the holds of a rule are unknown", name)
			}
			if p.Action == policy.ActionSkip && (len(p.Sweep) > 0 || p.Seed != nil) {
				t.Fatalf("%s is skipped, but has a sweep or a seed: %+v", name, p)
			}
			for _, file := range p.Sweep {
				if name != "coder" || file != "gateway.pid" {
					t.Fatalf("%s sweeps %s, which no fact offers", name, file)
				}
			}
		}
		if len(d.Skip) > 0 {
			for name, p := range d.Profiles {
				if p.Action != policy.ActionSkip {
					t.Fatalf("%s: %s in a container that supervises nothing", name, p.Action)
				}
			}
		}
	})
}

func TestCombineDoesNotDependOnTheOrder(t *testing.T) {
	in := situation(map[string]string{
		"default": `{"prior_state": {"status": "missing"}}`,
		"coder":   `{"prior_state": {"status": "missing"}, "runtime_files": {"files": {"gateway.pid": {"sweepable": true}}}}`,
	})
	rapid.Check(t, func(t *rapid.T) {
		given := contributions().Draw(t, "contributions")
		shuffled := rapid.Permutation(given).Draw(t, "shuffled")
		one := Combine(in, policy.Evaluation{Contributions: given}, HoldOnRuleError)
		other := Combine(in, policy.Evaluation{Contributions: shuffled}, HoldOnRuleError)
		if diff := cmp.Diff(one, other); diff != "" {
			t.Fatalf("the order changes the decision:\n%s", diff)
		}
	})
}

// The user may end the hold of a used-up budget, and that of an ending by which a gateway says
// that its configuration cannot work: upstream's own command starts it. Only root ends others.
func TestWhoMayEndAHold(t *testing.T) {
	for rule, held := range map[string]bool{RuleRestartBudget: false, ruleFatalExit: false, "reconcile.rules.maintenance": true} {
		in := policy.Input{Profiles: map[string]policy.Facts{"a": {}}}
		d := Combine(in, policy.Evaluation{Contributions: []policy.Contribution{{Set: policy.SetHold, Rule: rule, Profile: "a", Reason: "r"}}}, HoldOnRuleError)
		if got := d.Profiles["a"].Held; got != held {
			t.Errorf("%s: only root may start it: %v, want %v", rule, got, held)
		}
	}
}
