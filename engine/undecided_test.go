package engine

import (
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
