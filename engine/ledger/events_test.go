package ledger_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/volume"
	"hermes-reconcile/policy"
)

// passAt is a pass that did something with the profile coder. Causes make it one of the watch.
func passAt(second int, op policy.Op, cause ...string) ledger.Pass {
	p := ledger.Pass{
		Cause: cause,
		Input: policy.Input{Phase: policy.PhaseBoot, Now: policy.NewNow(time.Date(2026, 11, 22, 6, 0, second, 0, time.UTC))},
		Decisions: policy.Decisions{Profiles: map[string]policy.Decision{
			"coder": {Action: policy.ActionStart, Code: "prior_intent", Reason: "desired state was running", PriorState: "running"},
		}},
		Results: []policy.Result{{Operation: policy.Operation{Op: op, Profile: "coder"}, Done: true}},
	}
	if len(cause) > 0 {
		p.Command, p.Input.Phase = "watch", policy.PhaseApply
	}
	return p
}

// record appends a pass to its ledger, which is rotated at the given size.
func record(t *testing.T, home *volume.Home, p ledger.Pass, limit int64) {
	t.Helper()
	text, err := p.Text()
	if err == nil {
		err = home.AppendLog(p.File(), text, limit)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// shown is a line for each event.
func shown(events []ledger.Event) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%s %s: %s (%s %s)\n", e.Time[14:19], e.Profile, strings.Join(e.Done, ", "), e.Command, strings.Join(e.Cause, ","))
	}
	return b.String()
}

// 5,000 passes of a watch, which rotate their ledger several times, leave the boot before
// them where it is for the log, for explain and for the fact previous.
func TestManyPassesOfAWatchKeepTheBoot(t *testing.T) {
	home := homeWithLogs(t, nil)
	record(t, home, passAt(0, policy.OpPublish), ledger.Limit)
	one := passAt(1, policy.OpBringUp, "volume")
	one.Decisions.Profiles["coder"] = policy.Decision{Action: policy.ActionStart, Code: "x", Reason: strings.Repeat("long ", 400)}
	text, err := one.Text()
	if err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		if err := home.AppendLog(one.File(), text, ledger.Limit); err != nil {
			t.Fatal(err)
		}
	}
	if got := bootsOf(ledger.ReadRuns(home.Root(), ledger.Query{Most: 2})); got != "boot started" {
		t.Errorf("the log has %q, want the boot alone", got)
	}
	if got := bootsOf(ledger.ReadRuns(home.Root(), ofCoder)); got != "boot started" {
		t.Errorf("explain has %q, want the boot alone", got)
	}
	lines, err := ledger.Last(home.Root())
	if err != nil || lines["coder"].Phase != policy.PhaseBoot || lines[""].Phase != policy.PhaseBoot {
		t.Errorf("previous: %+v, %v", lines, err)
	}
	if runs := ledger.ReadRuns(home.Root(), ledger.Query{Watch: true, Most: 3}).Runs; len(runs) != 4 || !runs[0].IsBoot() || runs[3].Container.Command != "watch" {
		t.Errorf("with the watch: %d runs, want the boot and the last three passes of the watch", len(runs))
	}
	events := ledger.ReadRuns(home.Root(), ledger.Query{Events: true, Most: 3}).Events
	if want := strings.Repeat("00:01 coder: started (watch volume)\n", 3); shown(events) != want {
		t.Errorf("events\n%swant\n%s", shown(events), want)
	}
}

func bootsOf(r ledger.Runs) string {
	var boots []string
	for _, run := range r.Runs {
		for _, l := range run.Profiles {
			boots = append(boots, strings.Join(strings.Fields(l.Phase+" "+l.Command+" "+l.Action), " "))
		}
	}
	return strings.Join(boots, ", ")
}

// Events are what was done, of both ledgers by time, in words.
func TestEvents(t *testing.T) {
	home := homeWithLogs(t, nil)
	record(t, home, passAt(1, policy.OpPublish), ledger.Limit)
	record(t, home, passAt(2, policy.OpBringUp, "slots", "volume"), ledger.Limit)
	record(t, home, passAt(3, policy.OpRescan, "resync"), ledger.Limit) // nothing of a profile
	failed := passAt(4, policy.OpBringDown, "time")
	failed.Results = append(failed.Results,
		policy.Result{Operation: policy.Operation{Op: policy.OpSweep, Profile: "coder", File: "gateway.pid"}, Done: true},
		policy.Result{Operation: policy.Operation{Op: policy.OpMarkDown, Profile: "coder"}, Err: os.ErrPermission},
		policy.Result{Operation: policy.Operation{Op: policy.OpSeed, Profile: "coder"}})
	record(t, home, failed, ledger.Limit)
	command := passAt(5, policy.OpRemove)
	command.Command = "unregister coder"
	record(t, home, command, ledger.Limit)
	want := `00:01 coder: slot made (boot )
00:02 coder: started (watch slots,volume)
00:04 coder: stopped, swept gateway.pid, mark-down failed: permission denied (watch time)
00:05 coder: slot removed (unregister coder )
`
	found := ledger.ReadRuns(home.Root(), ledger.Query{Events: true, Most: 10, Profiles: []string{"coder"}})
	if got := shown(found.Events); got != want {
		t.Errorf("events\n%swant\n%s", got, want)
	}
	if found.Events[1].Code != "prior_intent" || found.Events[1].Reason != "desired state was running" {
		t.Errorf("no reason: %+v", found.Events[1])
	}
	if found = ledger.ReadRuns(home.Root(), ledger.Query{Events: true, Most: 10, Profiles: []string{"writer"}}); len(found.Events) > 0 || len(found.Names) != 1 {
		t.Errorf("of another profile: %+v", found)
	}
	newest := ledger.ReadRuns(home.Root(), ledger.Query{Events: true, Most: 1}).Events
	if got := shown(newest); got != "00:05 coder: slot removed (unregister coder )\n" {
		t.Errorf("the newest is %q", got)
	}
}

// A slot that is removed with its profile has a line, although nothing is decided about it. A
// profile about which nothing was done has none.
func TestRemovedSlotsAreRecorded(t *testing.T) {
	home := homeWithLogs(t, nil)
	p := passAt(1, policy.OpBringUp, "volume")
	p.Results = append(p.Results,
		policy.Result{Operation: policy.Operation{Op: policy.OpRemove, Profile: "writer", Cause: "there is no such profile"}, Done: true},
		policy.Result{Operation: policy.Operation{Op: policy.OpSweep, Profile: "kids", File: "gateway.pid"}})
	record(t, home, p, ledger.Limit)
	found := ledger.ReadRuns(home.Root(), ledger.Query{Events: true, Most: 10})
	want := "00:01 coder: started (watch volume)\n00:01 writer: slot removed (watch volume)\n"
	if got := shown(found.Events); got != want || strings.Join(found.Names, " ") != "coder writer" {
		t.Errorf("events\n%sof %q, want\n%s", got, found.Names, want)
	}
}

// A reader that goes on from its places sees every event once, whether a ledger is new, grows,
// is rotated, or ends with a line that is still being written.
func TestEventsGoOnFromTheirPlaces(t *testing.T) {
	home := homeWithLogs(t, nil)
	dir := home.Root()
	q := ledger.Query{Events: true, Most: 1000, After: map[string]ledger.Place{}}
	next := func(want string) {
		t.Helper()
		found := ledger.ReadRuns(dir, q)
		if got := shown(found.Events); got != want {
			t.Errorf("events\n%swant\n%s", got, want)
		}
		q.After = found.Places
	}
	next("")
	record(t, home, passAt(1, policy.OpBringUp, "volume"), ledger.Limit)
	next("00:01 coder: started (watch volume)\n")
	next("")
	record(t, home, passAt(2, policy.OpBringUp, "volume"), ledger.Limit)
	record(t, home, passAt(3, policy.OpBringDown, "time"), 1) // rotates
	next("00:02 coder: started (watch volume)\n00:03 coder: stopped (watch time)\n")
	record(t, home, passAt(4, policy.OpPublish), ledger.Limit)
	record(t, home, passAt(5, policy.OpBringUp, "volume"), 1)
	next("00:04 coder: slot made (boot )\n00:05 coder: started (watch volume)\n")

	text, err := passAt(6, policy.OpBringDown, "time").Text()
	if err != nil {
		t.Fatal(err)
	}
	half := len(text) - 20
	appendTo(t, home, text[:half])
	next("")
	appendTo(t, home, text[half:])
	next("00:06 coder: stopped (watch time)\n")
	next("")
}

// appendTo appends a part of a line to the ledger of the watch.
func appendTo(t *testing.T, home *volume.Home, part []byte) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(home.Path(), "logs", ledger.WatchName), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = file.Write(part)
		file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A ledger that an agent wrote costs no more memory than the bounds say.
func TestEventsAreBounded(t *testing.T) {
	line, err := json.Marshal(ledger.Line{
		Time: "2026-11-22T06:00:00Z", Phase: "apply", Profile: "coder", Action: "started", Reason: strings.Repeat("x", 200<<10),
		Operations: []ledger.Operation{{Op: policy.OpBringUp, Done: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	home := homeWithLogs(t, map[string]string{ledger.WatchName: strings.Repeat(string(line)+"\n", 250)})
	events := ledger.ReadRuns(home.Root(), ledger.Query{Events: true, Most: 1000}).Events
	if len(events) == 0 || len(events) > 100 {
		t.Errorf("%d events of 200 KiB, want some of at most 16 MiB", len(events))
	}
}
