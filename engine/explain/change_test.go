package explain

import (
	"context"
	"encoding/json"
	"testing"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// setFact changes one fact in a copy and leaves the original unchanged.
func TestSetFact(t *testing.T) {
	in := policy.Input{
		Container: policy.Facts{"multiplex": json.RawMessage(`{"on":true,"n":12345678901234567890}`)},
		Profiles:  map[string]policy.Facts{"coder": {"prior_state": json.RawMessage(`{"status":"missing"}`)}},
	}
	for _, test := range []struct {
		path []string
		want string
		ok   bool
	}{
		{[]string{"container", "multiplex", "on"}, `{"n":12345678901234567890,"on":false}`, true},
		{[]string{"container", "multiplex", "on", "deeper"}, "", false},
		{[]string{"container", "none", "on"}, "", false},
		{[]string{"now", "minute"}, "", false},
	} {
		got, ok := setFact(in, test.path, false)
		if ok != test.ok || ok && string(got.Container["multiplex"]) != test.want {
			t.Errorf("%v: %s, %v; want %s, %v", test.path, got.Container["multiplex"], ok, test.want, test.ok)
		}
	}
	got, ok := setFact(in, []string{"profiles", "kids", "prior_state"}, map[string]any{"status": "missing"})
	if !ok || len(got.Profiles) != 2 || len(in.Profiles) != 1 {
		t.Errorf("got %v, and the original has %v", got.Profiles, in.Profiles)
	}
	if string(in.Container["multiplex"]) != `{"on":true,"n":12345678901234567890}` {
		t.Errorf("the original is %s now", in.Container["multiplex"])
	}
}

// breaking is a set of rules that fails if the desired state of the profile is stopped.
type breaking struct{ Rules }

func (breaking) Evaluate(_ context.Context, _ policy.Stage, in policy.Input) policy.Evaluation {
	start := policy.Contribution{Set: policy.SetStart, Rule: "reconcile.rules.x", Profile: "coder", Reason: "x"}
	switch {
	case policy.DesiredState(in.Profiles["coder"]) == "stopped":
		return policy.Evaluation{Failures: []policy.RuleFailure{{Rule: "reconcile.rules.x", Error: "timeout"}}}
	}
	return policy.Evaluation{Contributions: []policy.Contribution{start}}
}

func (breaking) Status() policy.Status { return policy.Status{} }

// If the rules fail during an attempt, the attempt does not count as a change of the
// decision.
func TestBrokenAttemptIsNoChange(t *testing.T) {
	in := policy.Input{Profiles: map[string]policy.Facts{"coder": {"prior_state": json.RawMessage(`{"status":"recorded","desired":"running"}`)}}}
	s := Subject{Profile: "coder", Situation: engine.Situation{Input: in}, Rules: breaking{}, OnRuleError: engine.HoldOnRuleError}
	s.Decisions = engine.Decide(t.Context(), s.Rules, in, s.OnRuleError)
	for _, c := range s.changes(t.Context(), s.Decisions.Profiles["coder"], nil) {
		if c.Code == policy.CodeRuleError {
			t.Errorf("%q is reported as a change: %+v", c.If, c)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if changes := s.changes(ended, s.Decisions.Profiles["coder"], nil); len(changes) > 0 {
		t.Errorf("without time: %+v, want nothing", changes)
	}
}
