package engine

import (
	"context"
	"slices"
	"testing"

	"hermes-reconcile/policy"
)

// If a rule failed, nothing starts, and on a running container nothing stops because of a
// contribution that the failed rule might have made. Holds and skips of other rules count.
func TestBrokenRuleOnALiveTree(t *testing.T) {
	start := policy.Contribution{Set: policy.SetStart, Rule: "r.start", Profile: "coder", Code: "wanted", Reason: "was running"}
	hold := policy.Contribution{Set: policy.SetHold, Rule: "r.hold", Profile: "coder", Code: "night", Reason: "it is night"}
	skip := policy.Contribution{Set: policy.SetSkip, Rule: "r.skip", Profile: "coder", Code: "no_profile", Reason: "no marker"}
	tests := []struct {
		phase     string
		given     []policy.Contribution
		code      string
		undecided bool
	}{
		{policy.PhaseApply, []policy.Contribution{start}, policy.CodeRuleError, true},
		{policy.PhaseApply, nil, policy.CodeNoStartRule, true},
		{policy.PhaseApply, []policy.Contribution{start, hold}, "night", false},
		{policy.PhaseApply, []policy.Contribution{skip}, "no_profile", false},
		{policy.PhaseBoot, []policy.Contribution{start}, policy.CodeRuleError, false},
		{policy.PhaseBoot, nil, policy.CodeNoStartRule, false},
	}
	for _, test := range tests {
		in := situation(map[string]string{"coder": "{}"})
		in.Phase = test.phase
		broken := policy.Evaluation{Contributions: test.given, Failures: []policy.RuleFailure{{Rule: "r.broken", Error: "conflict"}}}
		if got := Combine(in, broken, HoldOnRuleError).Profiles["coder"]; got.Action == policy.ActionStart || got.Code != test.code || got.Undecided != test.undecided {
			t.Errorf("%s with %d contributions: %s (%s), undecided %v; want %s, %v", test.phase, len(test.given), got.Action, got.Code, got.Undecided, test.code, test.undecided)
		}
		if got := Combine(in, broken, IgnoreRuleError).Profiles["coder"]; got.Undecided {
			t.Errorf("%s: on_rule_error ignore decides without the rule, but this is undecided", test.phase)
		}
	}
}

// A fixedEvaluator makes the same contributions whatever the facts are.
type fixedEvaluator struct {
	status policy.Status
	given  []policy.Contribution
}

func (e fixedEvaluator) Evaluate(_ context.Context, _ policy.Stage, _ policy.Input) policy.Evaluation {
	return policy.Evaluation{Contributions: e.given}
}

func (e fixedEvaluator) Status() policy.Status { return e.status }

// A package that reads facts of a plug-in which failed decides nothing: not that a profile
// starts, and on a running container not that it stops. Its alarms count.
func TestAPackageThatDoesNotSeeItsFacts(t *testing.T) {
	of := func(set policy.Set, rule string) policy.Contribution {
		return policy.Contribution{Set: set, Rule: rule, Profile: "coder", Code: "c", Reason: "x", Waives: "r.hold"}
	}
	start, hold, theirHold := of(policy.SetStart, "r.start"), of(policy.SetHold, "r.hold"), of(policy.SetHold, "r.rota")
	failed, recorded := `{"status":"recorded","plugins":{"rota":{"status":"timed_out"},"site":{"status":"recorded"}}}`, `{"status":"recorded","plugins":{"rota":{"status":"recorded"}}}`
	tests := []struct {
		why, phase, external, reads string
		given                       []policy.Contribution
		action                      policy.Action
		undecided, alarm            bool
	}{
		{"its hold may be missing", policy.PhaseApply, failed, "rota", []policy.Contribution{start}, policy.ActionDown, true, true},
		{"its hold may be missing at a boot", policy.PhaseBoot, failed, "rota", []policy.Contribution{start}, policy.ActionDown, false, true},
		{"it holds, and does not know why", policy.PhaseApply, failed, "rota", []policy.Contribution{start, theirHold}, policy.ActionDown, true, true},
		{"its start may be missing", policy.PhaseApply, failed, "rota", nil, policy.ActionDown, true, true},
		{"it skips", policy.PhaseApply, failed, "rota", []policy.Contribution{of(policy.SetSkip, "r.rota")}, policy.ActionDown, true, true},
		{"it waives", policy.PhaseApply, failed, "rota", []policy.Contribution{start, hold, of(policy.SetWaive, "r.rota")}, policy.ActionDown, false, true},
		{"another rule holds", policy.PhaseApply, failed, "rota", []policy.Contribution{start, hold}, policy.ActionDown, false, true},
		{"it reads another plug-in", policy.PhaseApply, failed, "site", []policy.Contribution{start}, policy.ActionStart, false, false},
		{"it may read any plug-in", policy.PhaseApply, failed, policy.AnyPlugin, []policy.Contribution{start}, policy.ActionDown, true, true},
		{"all plug-ins failed", policy.PhaseApply, `{"status":"timed_out"}`, "site", []policy.Contribution{start}, policy.ActionDown, true, true},
		{"it answered", policy.PhaseApply, recorded, "rota", []policy.Contribution{start}, policy.ActionStart, false, false},
		{"there are no plug-ins", policy.PhaseApply, `{"status":"missing"}`, "rota", []policy.Contribution{start}, policy.ActionStart, false, false},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			in := situation(map[string]string{"coder": "{}"})
			in.Phase, in.Container = test.phase, policy.Facts{"external": []byte(test.external)}
			e := fixedEvaluator{policy.Status{External: map[string][]string{"r.rota": {test.reads}}}, append(test.given, of(policy.SetAlarm, "r.rota"))}
			d := Decide(t.Context(), e, in, HoldOnRuleError)
			if got := d.Profiles["coder"]; got.Action != test.action || got.Undecided != test.undecided {
				t.Errorf("%s (%s: %s), undecided %v; want %s, %v", got.Action, got.Code, got.Reason, got.Undecided, test.action, test.undecided)
			}
			has := func(code string) bool {
				return slices.ContainsFunc(d.Alarms, func(a policy.Alarm) bool { return a.Code == code && a.Rule == "r.rota" })
			}
			if has(policy.CodeExternal) != test.alarm || !has("c") {
				t.Errorf("the alarms are %+v", d.Alarms)
			}
			if got := Decide(t.Context(), e, in, IgnoreRuleError).Profiles["coder"]; got.Undecided {
				t.Error("on_rule_error ignore leaves the decision to the package, but this is undecided")
			}
		})
	}
}

// A profile whose facts could not be read neither starts nor stops. A hold or a skip that a
// rule contributes without them counts.
func TestUnreadProfile(t *testing.T) {
	given := map[policy.Set]policy.Contribution{
		policy.SetStart: {Set: policy.SetStart, Rule: "r.start", Profile: "coder", Code: "wanted", Reason: "always"},
		policy.SetHold:  {Set: policy.SetHold, Rule: "r.hold", Profile: "coder", Code: CodeVolume, Reason: "it is night"},
		policy.SetSkip:  {Set: policy.SetSkip, Rule: "r.skip", Profile: "coder", Code: "never", Reason: "never"},
		"":              {Set: policy.SetAlarm, Rule: "r.alarm", Profile: "coder", Reason: "look"},
	}
	for set, contribution := range given {
		for _, phase := range []string{policy.PhaseBoot, policy.PhaseApply} {
			in := situation(map[string]string{"coder": "{}"})
			in.Phase, in.Unread = phase, map[string]string{"coder": "the volume is away"}
			d := Combine(in, policy.Evaluation{Contributions: []policy.Contribution{contribution}}, HoldOnRuleError).Profiles["coder"]
			wantAction, decided := policy.ActionDown, set == policy.SetHold || set == policy.SetSkip
			if set == policy.SetSkip {
				wantAction = policy.ActionSkip
			}
			if d.Action != wantAction || d.Undecided == decided || d.Held != (set == policy.SetHold) || !decided && d.Reason != "its facts could not be read: the volume is away" {
				t.Errorf("%s with %q: %+v", phase, set, d)
			}
		}
	}
}
