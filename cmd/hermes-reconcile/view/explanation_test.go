package view

import (
	"strings"
	"testing"

	"hermes-reconcile/engine/explain"
	"hermes-reconcile/policy"
)

// However much is known, the short answer fits on a screen and ends with what to do.
func TestExplanationHasAtMost15Lines(t *testing.T) {
	t.Parallel()
	many := func(text string) []string {
		return []string{text + " 1", text + " 2", text + " 3", text + " 4", text + " 5"}
	}
	fact := explain.Fact{Name: "prior_state.desired", Value: "running", Present: true, WrittenBy: "agent", Rule: "r"}
	e := &explain.Explanation{
		Profile: "coder", Sentence: "coder: START (x): y", Action: policy.ActionStart, Rule: "r", Location: "r.rego:1",
		Facts: []explain.Fact{fact, fact, fact}, LastBoot: &explain.Boot{Errors: many("error")}, LastApply: &explain.Boot{}, LastGood: &explain.Boot{},
		Holds: make([]explain.Hold, 5), Changes: make([]explain.Change, 5), Alarms: make([]policy.Alarm, 5), Recheck: make([]policy.Contribution, 5),
		Contributions: make([]policy.Contribution, 5), Changed: many("image"), Do: many("do"),
		Now: explain.Now{Slot: "up", ServedBy: "default", Notes: many("note")},
	}
	for _, crash := range []bool{false, true} {
		if crash {
			e.Now.Ended, e.Now.Said, e.Now.Log = "7 times", many("said"), many("line")
		}
		var out strings.Builder
		Explanation(&out, e)
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		for _, want := range []string{"what to do  do 1", "            do 2", "more        hermes-reconcile explain coder --verbose"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("crashed %v: there is no %q:\n%s", crash, want, out.String())
			}
		}
		if len(lines) > 15 || strings.Contains(out.String(), "the agent can write this") == crash || strings.Contains(out.String(), "line 5") != crash {
			t.Errorf("crashed %v: %d lines, want at most 15, with the newest lines of the log of a crash, else the facts:\n%s", crash, len(lines), out.String())
		}
	}
}
