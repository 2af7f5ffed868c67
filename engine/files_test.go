package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hermes-reconcile/policy"
)

func TestPlanNamesWhatWillBeSweptAndSeeded(t *testing.T) {
	seed := &policy.Seed{State: "running", MigratedFrom: "legacy-container-cmd"}
	decisions := policy.Decisions{Profiles: map[string]policy.Decision{
		"writer": {Action: policy.ActionDown},
		"coder": {
			Action: policy.ActionStart, Sweep: []string{"gateway.pid"}, Identities: map[string]string{"gateway.pid": "id"},
			Contributions: []policy.Contribution{{Set: policy.SetSweep, File: "gateway.pid", Reason: "stale"}},
		},
		"default": {
			Action: policy.ActionStart, Seed: seed,
			Contributions: []policy.Contribution{{Set: policy.SetSeed, State: "running", MigratedFrom: "legacy-container-cmd", Reason: "first boot"}},
		},
		"gone": {Action: policy.ActionSkip, Sweep: []string{"gateway.pid"}, Seed: seed},
	}}
	want := []policy.Operation{
		{Op: policy.OpSweep, Profile: "coder", File: "gateway.pid", Identity: "id", Cause: "stale"},
		{Op: policy.OpSeed, Profile: "default", File: "gateway_state.json", Seed: seed, Cause: "first boot"},
	}
	if diff := cmp.Diff(want, FileOperations(decisions)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	decisions.Skip = []policy.Contribution{{Set: policy.SetSkip, Reason: "a dashboard"}}
	if got := FileOperations(decisions); len(got) != 0 {
		t.Errorf("plan of a skipped container = %v, want nothing", got)
	}
}
