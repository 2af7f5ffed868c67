package engine

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"hermes-reconcile/policy"
)

// benchContributions returns n profiles and the contributions of the built-in rules: half
// start, every tenth is also held, and half have a file to sweep.
func benchContributions(n int) (policy.Input, policy.Evaluation) {
	in := policy.Input{
		SchemaVersion: policy.SchemaVersion, Phase: policy.PhaseBoot,
		Now:      policy.NewNow(time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)),
		Profiles: make(map[string]policy.Facts, n),
	}
	var e policy.Evaluation
	add := func(c policy.Contribution, name string) {
		c.Profile, c.Location = name, c.Rule[len("reconcile.rules."):]+".rego:10"
		e.Contributions = append(e.Contributions, c)
	}
	for i := range n {
		name := fmt.Sprintf("p%05d", i+1)
		facts := policy.Facts{
			"prior_state":   json.RawMessage(`{"status":"recorded","desired":"stopped","gateway":"stopped"}`),
			"lifecycle":     json.RawMessage(`{"status":"missing","exit":"unknown"}`),
			"runtime_files": json.RawMessage(`{"status":"recorded","files":{},"lock":{"status":"missing","held":false}}`),
		}
		if i%2 == 0 {
			facts["prior_state"] = json.RawMessage(`{"status":"recorded","desired":"running","gateway":"running"}`)
			facts["runtime_files"] = json.RawMessage(fmt.Sprintf(`{"status":"recorded","files":{"gateway.pid":{"status":"recorded","kind":"file","sweepable":true,"identity":"%d-1","pid":%d}}}`, i, 100+i))
			add(policy.Contribution{Set: policy.SetStart, Rule: "reconcile.rules.prior_intent", Code: "prior_intent", Reason: "desired state was running"}, name)
			add(policy.Contribution{Set: policy.SetSweep, Rule: "reconcile.rules.stale_runtime_files", File: "gateway.pid", Reason: "left over from a gateway that is gone"}, name)
		}
		if i%10 == 0 {
			add(policy.Contribution{Set: policy.SetHold, Rule: "reconcile.rules.multiplex", Code: "multiplexed", Reason: "served by the root profile: multiplexing is on (environment)"}, name)
		}
		in.Profiles[name] = facts
	}
	return in, e
}

// BenchmarkCombine combines contributions into decisions: BenchmarkCombine/<profiles>.
func BenchmarkCombine(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in, e := benchContributions(n)
			b.ReportAllocs()
			for b.Loop() {
				d := Combine(in, e, HoldOnRuleError)
				if len(d.Profiles) != n || len(d.Alarms) > 0 {
					b.Fatalf("%d decisions and %d alarms, want %d and none", len(d.Profiles), len(d.Alarms), n)
				}
			}
		})
	}
}
