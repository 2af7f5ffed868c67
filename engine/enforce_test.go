package engine

import (
	"encoding/json"
	"strings"
	"testing"

	"hermes-reconcile/policy"
)

// Contributions of a rule on trial are in the document and have no effect: no hold, start,
// skip, sweep, delay or waive. If such a rule fails, its holds count as none.
func TestCombineShowsWhatIsNotEnforced(t *testing.T) {
	no := false
	in := policy.Input{
		SchemaVersion: policy.SchemaVersion, Phase: policy.PhaseBoot,
		Profiles: map[string]policy.Facts{"coder": {
			"prior_state":   json.RawMessage(`{"status":"recorded","desired":"running"}`),
			"runtime_files": json.RawMessage(`{"status":"recorded","files":{"gateway.pid":{"status":"recorded","sweepable":true}}}`),
		}},
	}
	start := policy.Contribution{Set: policy.SetStart, Rule: "reconcile.rules.start", Profile: "coder", Code: "start", Reason: "was running"}
	hold := policy.Contribution{Set: policy.SetHold, Rule: "reconcile.rules.hold", Profile: "coder", Code: "hold", Reason: "must not"}
	tried := func(c policy.Contribution) policy.Contribution {
		c.Rule, c.Profile, c.Reason, c.Enforced = "reconcile.rules.tried", "coder", "tried", &no
		return c
	}
	tests := []struct {
		why   string
		with  []policy.Contribution
		tried policy.Contribution
		want  policy.Action
	}{
		{"hold", []policy.Contribution{start}, policy.Contribution{Set: policy.SetHold}, policy.ActionStart},
		{"start", nil, policy.Contribution{Set: policy.SetStart}, policy.ActionDown},
		{"skip", []policy.Contribution{start}, policy.Contribution{Set: policy.SetSkip}, policy.ActionStart},
		{"waive", []policy.Contribution{start, hold}, policy.Contribution{Set: policy.SetWaive, Waives: hold.Rule}, policy.ActionDown},
		{"sweep", []policy.Contribution{start}, policy.Contribution{Set: policy.SetSweep, File: "gateway.pid"}, policy.ActionStart},
		{"delay", []policy.Contribution{start}, policy.Contribution{Set: policy.SetDelay, Seconds: 9}, policy.ActionStart},
		{"env", []policy.Contribution{start}, policy.Contribution{Set: policy.SetEnv, Name: "A", Value: "1"}, policy.ActionStart},
	}
	for _, test := range tests {
		d := Combine(in, policy.Evaluation{
			Contributions: append(test.with, tried(test.tried)),
			Failures:      []policy.RuleFailure{{Rule: "reconcile.rules.broken", Error: "conflict", NotEnforced: true}},
		}, HoldOnRuleError)
		p := d.Profiles["coder"]
		if p.Action != test.want || len(p.Sweep) > 0 || p.DelaySeconds != 0 || len(p.Env) > 0 {
			t.Errorf("%s: %+v, want %s and nothing else", test.why, p, test.want)
		}
		if len(p.Contributions) != len(test.with)+1 {
			t.Errorf("%s: %d contributions are shown, want all", test.why, len(p.Contributions))
		}
		if len(d.Alarms) != 1 || d.Alarms[0].Code != policy.CodeNotEnforced {
			t.Errorf("%s: alarms %+v, want only the alarm of the failed package", test.why, d.Alarms)
		}
	}

	all := tried(policy.Contribution{Set: policy.SetSkip})
	all.Profile = ""
	d := Combine(in, policy.Evaluation{Contributions: []policy.Contribution{start, all}}, HoldOnRuleError)
	if len(d.Skip) > 0 || d.Profiles["coder"].Action != policy.ActionStart || len(d.Alarms) != 1 || !strings.Contains(d.Alarms[0].Reason, "would skip the container") {
		t.Errorf("%+v, want only an alarm about the skip of the container", d)
	}
}
