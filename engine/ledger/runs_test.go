package ledger_test

import (
	"fmt"
	"strings"
	"testing"

	"hermes-reconcile/engine/ledger"
)

// runsOf reads the ledger in the given files.
func runsOf(t *testing.T, q ledger.Query, files map[string]string) ledger.Runs {
	t.Helper()
	return ledger.ReadRuns(homeWithLogs(t, files).Root(), q)
}

// brief writes a run as "01 coder writer": its second and its profiles. A star marks a run
// whose container line is lost.
func briefRuns(runs ledger.Runs) string {
	var all []string
	for _, r := range runs.Runs {
		text := r.Time[17:19]
		if r.Container == nil {
			text += "*"
		}
		for _, l := range r.Profiles {
			text += " " + l.Profile
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func TestReadRuns(t *testing.T) {
	two := container(1) + line1("coder", "started", 1) + line1("writer", "started", 1) +
		container(2) + line1("coder", "started", 2)
	tests := []struct {
		why   string
		query ledger.Query
		files map[string]string
		want  string
		notes string
	}{
		{"no ledger", ledger.Query{Most: 5}, nil, "", ""},
		{"all", ledger.Query{Most: 5}, map[string]string{"container-boot.jsonl": two}, "01 coder writer, 02 coder", ""},
		{"the newest", ledger.Query{Most: 1}, map[string]string{"container-boot.jsonl": two}, "02 coder", ""},
		{"one profile", ledger.Query{Most: 5, Profiles: []string{"writer"}}, map[string]string{"container-boot.jsonl": two}, "01 writer, 02", ""},
		{"rotated in the middle of a run", ledger.Query{Most: 5}, map[string]string{
			"container-boot.jsonl.1": container(1) + line1("coder", "started", 1),
			"container-boot.jsonl":   line1("writer", "started", 1) + container(2),
		}, "01 coder writer, 02", ""},
		{"two runs in one second", ledger.Query{Most: 5}, map[string]string{
			"container-boot.jsonl": container(1) + line1("coder", "started", 1) + container(1) + line1("coder", "started", 1),
		}, "01 coder, 01 coder", ""},
		{"a lost container line", ledger.Query{Most: 5}, map[string]string{
			"container-boot.jsonl": line1("coder", "started", 1) + line1("coder", "started", 2),
		}, "01* coder, 02* coder", ""},
		{"a torn last line", ledger.Query{Most: 5}, map[string]string{
			"container-boot.jsonl": container(1) + line1("coder", "started", 1)[:40],
		}, "01", "container-boot.jsonl: the last line is torn, as an interrupted run leaves it"},
		{"a whole last line without its end", ledger.Query{Most: 5}, map[string]string{
			"container-boot.jsonl": strings.TrimSuffix(two, "\n"),
		}, "01 coder writer, 02 coder", ""},
		{"an invalid line and an overlong line", ledger.Query{Most: 5}, map[string]string{
			"container-boot.jsonl": "[]\nnull\n\n" + strings.Repeat("x", 3*ledger.MaxLine) + "\n" + container(1),
		}, "01", "container-boot.jsonl: 3 lines are not records and are left out"},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			runs := runsOf(t, test.query, test.files)
			if got := briefRuns(runs); got != test.want {
				t.Errorf("runs %q, want %q", got, test.want)
			}
			if got := strings.ReplaceAll(strings.Join(runs.Notes, "; "), "logs/", ""); got != test.notes {
				t.Errorf("notes %q, want %q", got, test.notes)
			}
		})
	}
}

// The result is bounded, however much an agent writes.
func TestReadRunsIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, `{"time":"2026-11-22T06:00:%02dZ","action":"reconciled"}`+"\n", i%60)
	}
	runs := runsOf(t, ledger.Query{Most: 6}, map[string]string{"container-boot.jsonl": text.String()})
	if got := briefRuns(runs); got != "54, 55, 56, 57, 58, 59" {
		t.Errorf("runs %q", got)
	}
}

// A profile has its newest boots, however many boots of others and commands came later. A
// command counts only if it is asked for, and has the number of the boot before it.
func TestLogCountsBootsOfEachProfile(t *testing.T) {
	command := func(second int) string {
		return strings.ReplaceAll(line1("coder", "started", second), `"phase":"boot"`, `"phase":"apply","command":"restart"`)
	}
	text := container(1) + line1("old", "started", 1) + line1("coder", "started", 1) +
		container(2) + line1("coder", "started", 2) + command(3) + command(4) + container(5) + line1("coder", "started", 5) + command(6)
	brief := func(q ledger.Query, most int) string {
		var all []string
		for _, e := range ledger.NewHistory(runsOf(t, q, map[string]string{"container-boot.jsonl": text}), most).Entries {
			all = append(all, fmt.Sprintf("%s %d%s", e.Profile, e.Boot, e.Command))
		}
		return strings.Join(all, ", ")
	}
	if got, want := brief(ledger.Query{Most: 100, Boots: true}, 2), "coder -1, coder 0, old -2"; got != want {
		t.Errorf("the boots are %q, want %q", got, want)
	}
	if got, want := brief(ledger.Query{Most: 100}, 4), "coder -1restart, coder -1restart, coder 0, coder 0restart, old -2"; got != want {
		t.Errorf("boots and commands are %q, want %q", got, want)
	}
}

// Changes are relative to the last boot that had the profile, even if that boot is not
// shown.
func TestLogTellsWhatChanged(t *testing.T) {
	run := func(second int, facts, action string) ledger.Run {
		at := fmt.Sprintf("2026-11-22T06:00:%02dZ", second)
		r := ledger.Run{Time: at, Container: &ledger.Line{Time: at, Action: "reconciled", Facts: map[string]string{"s": "1"}}}
		if action != "" {
			r.Profiles = []ledger.Line{{Time: at, Phase: "boot", Profile: "coder", Action: action, Facts: map[string]string{"prior_state": facts}}}
		}
		return r
	}
	tests := []struct {
		why  string
		runs []ledger.Run
		want string
	}{
		{"nothing", []ledger.Run{run(1, "1", "started"), run(2, "1", "started")}, ""},
		{"a fact", []ledger.Run{run(1, "1", "started"), run(2, "2", "started")}, "facts of the profile: prior_state"},
		{"a boot between without the profile", []ledger.Run{run(1, "1", "started"), run(2, "", ""), run(3, "2", "started")}, "facts of the profile: prior_state"},
		{"the outcome changed without an explanation", []ledger.Run{run(1, "1", "started"), run(2, "1", "registered")}, "nothing that the ledger records"},
		{"the first", []ledger.Run{run(1, "1", "started")}, ""},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			d := ledger.NewHistory(ledger.Runs{Runs: test.runs}, max(1, len(test.runs)-1))
			last := d.Entries[len(d.Entries)-1]
			if got := strings.Join(last.Changed, "; "); got != test.want || last.Boot != 0 {
				t.Errorf("boot %d: changed %q, want %q", last.Boot, got, test.want)
			}
		})
	}
}
