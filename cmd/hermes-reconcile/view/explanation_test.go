package view

import (
	"slices"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"

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
		Profile: "coder", Sentence: "coder: START (x): y", Verdict: explain.Verdict{Action: policy.ActionStart, Rule: "r", Location: "r.rego:1"},
		Facts: []explain.Fact{fact, fact, fact}, LastBoot: &explain.Boot{}, LastGood: &explain.Boot{},
		Holds: make([]explain.Hold, 5), Changes: make([]explain.Change, 5), Alarms: make([]policy.Alarm, 5), Recheck: make([]policy.Contribution, 5),
		Contributions: make([]policy.Contribution, 5), Changed: many("image"), Do: many("do"),
		Now: explain.Now{Slot: "up", ServedBy: "default", Notes: many("note")},
	}
	for _, crash := range []bool{false, true} {
		if crash {
			e.Now.Ended, e.Now.Said, e.Now.Log = "7 times", many("said"), many("line")
		}
		var out strings.Builder
		Screen{}.Explanation(&out, e)
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

// On a terminal a long text goes on below its beginning, and no word is cut.
func TestExplanationFitsTheTerminal(t *testing.T) {
	t.Parallel()
	e := &explain.Explanation{
		Profile: "日本語", Sentence: "日本語: DOWN (budget_exhausted): 3 deaths within 600 s, the last with exit code 1; the hold ends when .env changes",
		Do:  []string{"mend what ended it; a changed .env or config.yaml ends the hold, else: hermes-reconcile release 日本語"},
		Now: explain.Now{Slot: "down", Ended: "3 times since its supervisor started, 3 in the last ten minutes; last with exit code 1; down since 2026-11-22T08:10:10Z"},
	}
	var whole, shown strings.Builder
	Screen{}.Explanation(&whole, e)
	Screen{Width: 60}.Explanation(&shown, e)
	for line := range strings.Lines(shown.String()) {
		if text.StringWidthWithoutEscSequences(strings.TrimSuffix(line, "\n")) > 60 {
			t.Errorf("a line is longer than 60 cells: %q", line)
		}
	}
	if !slices.Equal(strings.Fields(shown.String()), strings.Fields(whole.String())) {
		t.Errorf("words are cut:\n%s", shown.String())
	}
	if !strings.Contains(shown.String(), "\n              ") {
		t.Errorf("what goes on does not stand below its beginning:\n%s", shown.String())
	}
}
