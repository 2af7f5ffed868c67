package ledger_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// BenchmarkText makes the lines of a boot with 480 profiles.
func BenchmarkText(b *testing.B) {
	p := ledger.Pass{Input: policy.Input{Phase: policy.PhaseBoot, Profiles: map[string]policy.Facts{}}}
	p.Decisions.Profiles = map[string]policy.Decision{}
	start := policy.Contribution{Set: policy.SetStart, Rule: "reconcile.rules.prior_intent", Location: "prior_intent.rego:10", Profile: "coder", Code: "prior_intent", Reason: "desired state was running"}
	for i := range 480 {
		name := fmt.Sprintf("p%03d", i)
		facts := policy.Facts{}
		for j := range 20 {
			facts[fmt.Sprintf("fact_%d", j)] = json.RawMessage(`{"status":"recorded","desired":"running","files":{"SOUL.md":{"kind":"file","size":1}}}`)
		}
		p.Input.Profiles[name] = facts
		p.Decisions.Profiles[name] = policy.Decision{
			Action: policy.ActionStart, Code: "prior_intent", Reason: start.Reason, PriorState: "running", PriorExit: "unknown",
			Contributions: []policy.Contribution{start, start},
		}
	}
	for b.Loop() {
		if _, err := p.Text(); err != nil {
			b.Fatal(err)
		}
	}
}
