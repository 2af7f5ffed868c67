package ledger_test

import (
	"strings"
	"testing"

	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// FuzzBootLog: for any text of the agent, a record is one line with one word for each key.
func FuzzBootLog(f *testing.F) {
	for _, text := range append(hometest.Hostile(), "running", "", "a b", `a"b`, "a=b", "\\", "None", "é", "\xff") {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, state, name string) {
		d := policy.Decisions{Profiles: map[string]policy.Decision{
			name: {Action: policy.ActionStart, PriorState: state, PriorExit: state, Code: state},
		}}
		for _, skip := range []bool{false, true} {
			if skip {
				d.Skip = []policy.Contribution{{Code: state, Reason: name}}
			}
			text := string(ledger.Pass{Decisions: d}.BootLog())
			if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") || strings.ContainsFunc(strings.TrimSpace(text), func(r rune) bool { return r < 0x20 || r > 0x7e }) {
				t.Errorf("%q of %q is %q", state, name, text)
			}
			if !skip && state == "running" && strings.Count(text, " action=") != 1+strings.Count(policy.Word(name), " action=") {
				t.Errorf("%q of %q is %q", state, name, text)
			}
		}
	})
}
