package deaths

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
	"hermes-reconcile/s6/scripts"
)

// The answers to the deaths of one gateway. Each row is a death, some seconds after the
// death before it.
func TestAnswer(t *testing.T) {
	t.Parallel()
	type death struct {
		after  float64
		code   int
		signal int
		want   string
	}
	hold := policy.Restart{Budget: &policy.Budget{Deaths: 3, WindowSeconds: 60}, HoldSeconds: 600}
	with := func(r policy.Restart, change func(*policy.Restart)) policy.Restart { change(&r); return r }
	answers := func(table map[string]string) policy.Restart {
		return with(hold, func(r *policy.Restart) { r.ExitCodes = table })
	}
	tests := []struct {
		name    string
		restart policy.Restart
		deaths  []death
	}{
		{"the budget is used up within the window", hold, []death{{0, 1, 0, "again"}, {10, 1, 0, "again"}, {10, 1, 0, "hold 3 deaths until 620"}}},
		{"after a hold it counts anew", hold, []death{{0, 1, 0, "again"}, {1, 1, 0, "again"}, {1, 1, 0, "hold 3 deaths until 602"}, {700, 1, 0, "again"}}},
		{"deaths before the window do not count", hold, []death{{0, 1, 0, "again"}, {40, 1, 0, "again"}, {40, 1, 0, "again"}, {1, 1, 0, "hold 3 deaths until 681"}}},
		{"a death by a signal counts", hold, []death{{0, 256, 9, "again"}, {1, 256, 11, "again"}, {1, 256, 9, "hold 3 deaths until 602"}}},
		{"a death by an operator's signal does not count", hold, []death{{0, 256, 15, "again"}, {1, 256, 2, "again"}, {1, 256, 15, "again"}, {1, 256, 15, "again"}}},
		{"a program that handles such a signal ends with its code", hold, []death{{0, 143, 0, "again"}, {1, 130, 0, "again"}, {1, 129, 0, "again"}, {1, 143, 0, "again"}}},
		{"count_term", with(hold, func(r *policy.Restart) { r.CountTerm = true }),
			[]death{{0, 256, 15, "again"}, {1, 143, 0, "again"}, {1, 256, 2, "hold 3 deaths until 602"}}},
		{"a restart that was asked for", answers(map[string]string{"75": "uncounted"}),
			[]death{{0, 1, 0, "again"}, {1, 75, 0, "again"}, {1, 75, 0, "again"}, {1, 1, 0, "again"}, {1, 75, 0, "again"}, {1, 1, 0, "hold 3 deaths until 605"}}},
		{"an answer to a signal", answers(map[string]string{"SIGKILL": "never", "SIGTERM": "backoff"}),
			[]death{{0, 256, 9, "down"}, {1, 137, 0, "down"}, {1, 256, 11, "again"}, {1, 256, 15, "pause 1"}}},
		{"an exit code has its own answer beside a signal's", answers(map[string]string{"SIGKILL": "never", "137": "now"}), []death{{0, 137, 0, "again"}, {1, 256, 9, "down"}}},
		{"every other ending", answers(map[string]string{"*": "never", "7": "now"}), []death{{0, 7, 0, "again"}, {1, 8, 0, "down"}, {1, 256, 11, "down"}, {1, 256, 15, "again"}}},
		{"other endings without the standard ones", policy.Restart{ExitCodes: map[string]string{"*": "backoff"}},
			[]death{{0, 78, 0, "down"}, {1, 0, 0, "down"}, {1, 256, 9, "pause 1"}, {2, 3, 0, "pause 2"}}},
		{"a long run clears the count", with(hold, func(r *policy.Restart) { r.ResetAfterSeconds = 20 }),
			[]death{{0, 1, 0, "again"}, {10, 1, 0, "again"}, {21, 1, 0, "again"}, {10, 1, 0, "again"}, {10, 1, 0, "hold 3 deaths until 651"}}},
		{"a long run ends the pauses", policy.Restart{ExitCodes: map[string]string{"1": "backoff"}, ResetAfterSeconds: 20},
			[]death{{0, 1, 0, "pause 1"}, {2, 1, 0, "pause 2"}, {21, 1, 0, "pause 4"}, {25, 1, 0, "pause 1"}}},
		{"slow begins with the pace of the budget and grows", policy.Restart{Budget: &policy.Budget{Deaths: 2, WindowSeconds: 60}, OnExhaustion: "slow"},
			[]death{{0, 1, 0, "again"}, {1, 1, 0, "pause 30"}, {31, 1, 0, "pause 60"}, {61, 1, 0, "pause 120"}, {121, 1, 0, "pause 240"}, {241, 1, 0, "pause 300"}, {301, 1, 0, "pause 300"},
				{901, 1, 0, "again"}, {1, 1, 0, "pause 30"}}},
		{"pauses grow", policy.Restart{ExitCodes: map[string]string{"1": "backoff"}},
			[]death{{0, 1, 0, "pause 1"}, {2, 1, 0, "pause 2"}, {3, 1, 0, "pause 4"}, {5, 1, 0, "pause 8"}, {9, 7, 0, "again"}, {1, 1, 0, "pause 1"}}},
		{"a long life begins them anew", policy.Restart{ExitCodes: map[string]string{"1": "backoff"}},
			[]death{{0, 1, 0, "pause 1"}, {2, 1, 0, "pause 2"}, {700, 1, 0, "pause 1"}}},
		{"pauses have an end", policy.Restart{ExitCodes: map[string]string{"1": "backoff"}},
			[]death{{0, 1, 0, "pause 1"}, {2, 1, 0, "pause 2"}, {3, 1, 0, "pause 4"}, {5, 1, 0, "pause 8"}, {9, 1, 0, "pause 16"}, {17, 1, 0, "pause 32"},
				{33, 1, 0, "pause 64"}, {65, 1, 0, "pause 128"}, {129, 1, 0, "pause 256"}, {257, 1, 0, "pause 300"}, {301, 1, 0, "pause 300"}}},
		{"a clock that goes back loses no slot", hold, []death{{1000, 1, 0, "again"}, {-900, 1, 0, "again"}, {1, 1, 0, "again"}, {1, 1, 0, "hold 3 deaths until 702"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			slot := t.TempDir()
			mark, err := json.Marshal(scripts.Marker{Profile: "coder", Restart: &test.restart})
			s6test.Must(t, err)
			s6test.Must(t, os.Mkdir(filepath.Join(slot, "data"), 0o755))
			s6test.Must(t, os.WriteFile(filepath.Join(slot, scripts.MarkerName), mark, 0o644))
			down := filepath.Join(slot, "down")
			start := time.Unix(1_800_000_000, 0)
			now := start
			for i, death := range test.deaths {
				now = now.Add(time.Duration(death.after * float64(time.Second)))
				answer, err := Death{Dir: slot, ExitCode: death.code, Signal: death.signal, Now: now}.Answer()
				s6test.Must(t, err)
				got := "again"
				switch {
				case answer.Hold != nil:
					got = fmt.Sprintf("hold %d deaths until %d", answer.Hold.Deaths, answer.Hold.UntilUnix-start.Unix())
				case answer.PauseSeconds > 0:
					got = fmt.Sprintf("pause %g", answer.PauseSeconds)
				case answer.Down:
					got = "down"
				}
				if got != death.want || answer.Profile != "coder" {
					t.Errorf("death %d: got %s, want %s", i+1, got, death.want)
				}
				_, err = os.Stat(down)
				if answer.Down != (answer.Hold != nil || got == "down") || (answer.Hold != nil) != (err == nil) {
					t.Errorf("death %d: down is %v, down file: %v", i+1, answer.Down, err)
				}
				_ = os.Remove(down)
			}
		})
	}
}

// A SIGKILL is one for want of memory if the container lost a process for that reason while
// the gateway ran. The gateway's own start notes the count before.
func TestAnswerToOOM(t *testing.T) {
	t.Parallel()
	for noted, want := range map[string]bool{"4\n": true, "5\n": false, "": false, "none": false, "x\n": false} {
		slot := t.TempDir()
		mark, err := json.Marshal(scripts.Marker{Profile: "coder", Restart: &policy.Restart{ExitCodes: map[string]string{"oom": "never"}}})
		s6test.Must(t, err)
		s6test.Must(t, os.Mkdir(filepath.Join(slot, "data"), 0o755))
		s6test.Must(t, os.WriteFile(filepath.Join(slot, scripts.MarkerName), mark, 0o644))
		if noted != "none" {
			s6test.Must(t, os.WriteFile(filepath.Join(slot, scripts.OOMName), []byte(noted), 0o644))
		}
		answer, err := Death{Dir: slot, ExitCode: 256, Signal: 9, OOMKills: 5, Now: time.Now()}.Answer()
		s6test.Must(t, err)
		if answer.Down != want {
			t.Errorf("5 processes lost, noted %q: down is %v", noted, answer.Down)
		}
		if other, err := (Death{Dir: slot, ExitCode: 256, Signal: 11, OOMKills: 5, Now: time.Now()}).Answer(); err != nil || other.Down {
			t.Errorf("another signal: %+v, %v", other, err)
		}
	}
}

// FuzzTally counts one more death in any tally. Neither the pause nor the tally grows
// beyond its bound.
func FuzzTally(f *testing.F) {
	for _, text := range []string{
		"", "{}", `{"deaths":[1,2,3],"last":3,"pauses":2,"pause":4}`, `{"deaths":[1e308,-1e308],"last":-1e308,"pauses":1000000000,"pause":1e308}`,
		`{"deaths":null,"pauses":-5}`, "[]", `{"deaths":[1795327211,1795327211]}`,
	} {
		f.Add([]byte(text), 3, 5, 600.0, true)
	}
	f.Fuzz(func(t *testing.T, text []byte, code, deaths int, window float64, slow bool) {
		if deaths < 1 || deaths > 1000 || !(window > 0) || window > 1e7 || len(text) > 4096 {
			return // rules cannot ask for it
		}
		var counted tally
		if json.Unmarshal(text, &counted) != nil {
			counted = tally{}
		}
		r := &policy.Restart{Budget: &policy.Budget{Deaths: deaths, WindowSeconds: window}, ExitCodes: map[string]string{"3": "backoff"}, OnExhaustion: "hold"}
		if slow {
			r.OnExhaustion = "slow"
		}
		before := len(counted.Deaths)
		var a Answer
		Death{ExitCode: code, Now: time.Unix(1795327211, 0)}.count(&counted, r, r.Answer(policy.Ending{ExitCode: code}), counted.Last+counted.Pause, &a)
		if a.PauseSeconds < 0 || a.PauseSeconds > 1e7 || len(counted.Deaths) > before+1 || a.Down != (a.Hold != nil) {
			t.Errorf("%q: %+v, %+v", text, a, counted)
		}
		if _, err := json.Marshal(counted); err != nil {
			t.Errorf("%q: %+v: %v", text, counted, err)
		}
	})
}
