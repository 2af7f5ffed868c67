package status

import (
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
)

// A watch runs while it looks. One that should and does not is an alarm, and the container is
// not healthy.
func TestStatusOfTheWatch(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 10, 12, 0, time.UTC)
	ago := func(d time.Duration) int64 { return now.Add(-d).Unix() }
	slot := func(words string) string { return `,"watch":{"kind":"directory","status":"recorded"` + words + `}` }
	const up, down, nobody = `,"supervised":true,"up":true`, `,"supervised":true`, `,"supervised":false`
	tests := []struct {
		why      string
		disabled bool
		slot     string
		state    watch.State
		err      error
		want     string // of Describe
		alarm    string // its reason, without the beginning
	}{
		{"it looked", false, slot(up), watch.State{LookedUnix: ago(12 * time.Second)}, nil, "looked 12 s ago", ""},
		{"it knows when it looks again", false, slot(up), watch.State{LookedUnix: ago(time.Minute), NextUnix: ago(-4 * time.Hour), NextReason: "quiet hours begin"},
			nil, "looked 60 s ago, next in 4 h (quiet hours begin)", ""},
		{"this user cannot see its slot", false, "", watch.State{LookedUnix: ago(time.Second)}, nil, "looked 1 s ago", ""},
		{"at the last moment", false, slot(up), watch.State{LookedUnix: ago(3 * time.Minute)}, nil, "looked 3 min ago", ""},
		{"it hangs", false, slot(up), watch.State{LookedUnix: ago(3*time.Minute + time.Second)}, nil, "does not run", "has not looked for 3 min"},
		{"it is being restarted", false, slot(down), watch.State{LookedUnix: ago(50 * time.Second)}, nil, "down, looked 50 s ago", ""},
		{"it is stopped", false, slot(down), watch.State{LookedUnix: ago(time.Hour)}, nil, "does not run", "down, has not looked for 60 min"},
		{"its slot is gone", false, "", watch.State{LookedUnix: ago(time.Hour)}, nil, "does not run", "has not looked for 60 min"},
		{"it starts", false, slot(up + `,"since_unix":1795335000`), watch.State{}, fs.ErrNotExist, "has just started", ""},
		{"it never began", false, slot(up + `,"since_unix":1795334000`), watch.State{}, fs.ErrNotExist, "does not run", "has not looked for 16 min"},
		{"nobody supervises it", false, slot(nobody), watch.State{}, fs.ErrNotExist, "does not run", "not supervised, has not looked yet"},
		{"its state is broken", false, slot(up), watch.State{}, errors.New("watch.json: broken"), "does not run", "its state cannot be read: watch.json: broken"},
		{"boot made none", false, "", watch.State{}, fs.ErrNotExist, "no service", ""},
		{"the scan directory cannot be read", false, "unreadable", watch.State{}, fs.ErrNotExist, "no service", ""},
		{"nobody wants it", true, "", watch.State{}, fs.ErrNotExist, "no service (watch.enabled is false), so what is NEXT waits for apply or a boot", ""},
		{"it was switched off", true, "", watch.State{LookedUnix: ago(time.Hour)}, nil, "no service (watch.enabled is false), so what is NEXT waits for apply or a boot", ""},
		{"somebody runs it by hand", true, "", watch.State{LookedUnix: ago(time.Second)}, nil, "looked 1 s ago", ""},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			s := engine.Situation{Input: policy.Input{Container: policy.Facts{"s6": json.RawMessage(`{"status":"recorded","running":true` + test.slot + `}`)}}}
			if test.slot == "unreadable" {
				s.Input.Container = policy.Facts{"s6": json.RawMessage(`{"status":"unreadable"}`)}
			}
			s.Input.Now.UnixNS = now.UnixNano()
			d := New("/scan", s, policy.Decisions{})
			d.Alarms = nil // those about the supervisor
			d.AddWatch(!test.disabled, time.Minute, test.state, test.err)
			if got := d.Watch.Describe(now); got != test.want {
				t.Errorf("it %q, want %q", got, test.want)
			}
			want, wantCodes := "the service hermes-reconcile does not run: "+test.alarm, CodeWatch
			if test.alarm == "" {
				want, wantCodes = "", ""
			}
			if got := strings.Join(d.Unhealthy(), "\n"); got != want || alarmCodes(d) != wantCodes {
				t.Errorf("the check: %q, want %q; alarms %q", got, want, alarmCodes(d))
			}
		})
	}
}

// What only the watch knows is among the alarms once, and what its last pass knew of the
// rules, slots and profiles is not: the status knows better.
func TestAlarmsOfTheWatch(t *testing.T) {
	alarms := []policy.Alarm{
		{Code: watch.CodeContested, Profile: "coder"}, {Code: watch.CodeContested, Profile: "writer"}, {Code: watch.CodeMaxStops},
		{Code: engine.CodeVolume}, {Code: "low_disk"}, {Code: "slot_foreign", Profile: "coder"},
	}
	now := time.Unix(1795335012, 0)
	for age, want := range map[time.Duration]string{
		time.Second: "volume, low_disk, coder contested, writer contested, max_stops",
		time.Hour:   "volume, low_disk, watch_not_running",
	} {
		s := engine.Situation{VolumeErr: errors.New("gone"), Input: policy.Input{Container: policy.Facts{"s6": json.RawMessage(`{"status":"recorded","running":true}`)}}}
		s.Input.Now.UnixNS = now.UnixNano()
		d := New("/scan", s, policy.Decisions{Alarms: []policy.Alarm{{Code: engine.CodeVolume}, {Code: "low_disk"}}})
		d.AddWatch(true, time.Minute, watch.State{Alarms: alarms, LookedUnix: now.Add(-age).Unix()}, nil)
		if got := alarmCodes(d); got != want {
			t.Errorf("looked %s ago: alarms %q, want %q", age, got, want)
		}
	}
}
