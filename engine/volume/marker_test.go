package volume

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hermes-reconcile/policy"
)

func TestPlannedStopIsMarkedAsUpstreamReadsIt(t *testing.T) {
	at := time.Date(2026, 11, 24, 3, 0, 0, 123456789, time.FixedZone("CET", 3600))
	for name, c := range map[string]struct {
		start int64
		want  string
	}{
		"known start":   {98765, `{"target_pid":41,"target_start_time":98765,"stopper_pid":7,"written_at":"2026-11-24T02:00:00.123456+00:00"}`},
		"unknown start": {0, `{"target_pid":41,"target_start_time":null,"stopper_pid":7,"written_at":"2026-11-24T02:00:00.123456+00:00"}`},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t, map[string]string{"profiles/coder/" + policy.PlannedStopFile: "-> ../../victim", "victim": "mine"})
			if err := h.MarkPlannedStop(context.Background(), "coder", 41, c.start, 7, at); err != nil {
				t.Fatal(err)
			}
			if got := readCoder(t, h, policy.PlannedStopFile); got != c.want+"\n" {
				t.Errorf("marker %s, want %s", got, c.want)
			}
			if text, err := os.ReadFile(filepath.Join(h.Path(), "victim")); err != nil || string(text) != "mine" {
				t.Errorf("the target of the link is %q, %v", text, err)
			}
			onlyEntries(t, filepath.Join(h.Path(), "profiles/coder"), policy.PlannedStopFile)
		})
	}
	h := newHome(t, nil)
	if err := h.MarkPlannedStop(context.Background(), "coder", 41, 0, 7, at); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the profile: %v, want %v", err, fs.ErrNotExist)
	}
}

func TestHoldNamesWhatEndsIt(t *testing.T) {
	h := newHome(t, map[string]string{"profiles/coder/config.yaml": "a: 1\n", "profiles/coder/SOUL.md": "x"})
	hold := policy.RestartHold{SinceUnix: 1795000000, UntilUnix: 1795003600, Deaths: 5, WindowSeconds: 600, ExitCode: 256, Signal: 9}
	for range 2 {
		if err := h.WriteHold(context.Background(), "coder", hold); err != nil {
			t.Fatal(err)
		}
	}
	if hold.Files != nil {
		t.Errorf("the caller's hold became %v", hold)
	}
	var got policy.RestartHold
	if err := json.Unmarshal([]byte(readCoder(t, h, policy.RestartHoldFile)), &got); err != nil {
		t.Fatal(err)
	}
	hold.Files = map[string]string{"config.yaml": identityAt(t, filepath.Join(h.Path(), "profiles/coder/config.yaml"))}
	if diff := cmp.Diff(hold, got); diff != "" {
		t.Errorf("hold (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(filepath.Join(h.Path(), "profiles/coder/state")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("state is %v, %v, want mode 0755", info.Mode(), err)
	}
	onlyEntries(t, filepath.Join(h.Path(), "profiles/coder/state"), "reconcile.hold.json")
	for _, want := range []bool{true, false} {
		if was, err := h.RemoveHold(context.Background(), "coder"); was != want || err != nil {
			t.Errorf("RemoveHold = %v, %v, want %v", was, err, want)
		}
	}
}

func TestHoldIsNotLedAway(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"state is a link":     {"profiles/coder/state": "-> ../writer/state", "profiles/writer/state/reconcile.hold.json": "theirs"},
		"state is a FIFO":     {"profiles/coder/state": "fifo", "profiles/writer/state/reconcile.hold.json": "theirs"},
		"the hold is a link":  {"profiles/coder/state/reconcile.hold.json": "-> ../../writer/state/reconcile.hold.json", "profiles/writer/state/reconcile.hold.json": "theirs"},
		"the profile is one":  {"profiles/coder": "-> writer", "profiles/writer/state/reconcile.hold.json": "theirs"},
		"there is no profile": {"profiles/writer/state/reconcile.hold.json": "theirs"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t, files)
			err := h.WriteHold(context.Background(), "coder", policy.RestartHold{Deaths: 1})
			if name != "the hold is a link" && err == nil {
				t.Errorf("WriteHold gave no error")
			}
			if _, err := h.RemoveHold(context.Background(), "coder"); err != nil && name == "the hold is a link" {
				t.Errorf("RemoveHold: %v", err)
			}
			if text, err := os.ReadFile(filepath.Join(h.Path(), "profiles/writer/state/reconcile.hold.json")); err != nil || string(text) != "theirs" {
				t.Errorf("the other profile's file is %q, %v", text, err)
			}
		})
	}
}
