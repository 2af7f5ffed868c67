package ledger_test

import (
	"strings"
	"testing"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// evil is text that clears a terminal, renames it, overwrites a line, begins another line,
// and reverses the direction of writing.
const evil = "\x1b[2J\x1b]0;owned\a\r\n2026-11-22T06:00:11+0000 profile=x action=started\u202e\u0085\x7f"

// FuzzBootLog: for any text of the agent, a record is one line with one word for each key.
func FuzzBootLog(f *testing.F) {
	for _, text := range []string{"running", "", evil, "a b", `a"b`, "a=b", "\\", "None", "é", "\xff"} {
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
