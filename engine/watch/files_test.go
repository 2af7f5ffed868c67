package watch

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
)

// A newLoop is a watch that decides one and the same at each pass.
func newLoop(t *testing.T, log *bytes.Buffer, pass func(n int)) (l *Loop, triggers chan Trigger) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	triggers = make(chan Trigger)
	n := 0
	return &Loop{
		Dir: dir, Triggers: triggers, Log: slog.New(slog.NewTextHandler(log, nil)),
		Times:  func() Times { return Times{Resync: time.Hour, MaxStops: -1} },
		Events: func() map[string]string { return nil },
		Pass: func(context.Context, *slog.Logger, reconcile.Options) (reconcile.Report, error) {
			n++
			pass(n)
			s := newScene()
			s.profile("coder", policy.ActionStart, true)
			return s.Report, nil
		},
	}, triggers
}

// What cannot be written is said once, and written by the first pass that can.
func TestFilesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var l *Loop
	over := make(chan struct{})
	l, triggers := newLoop(t, &log, func(n int) {
		for _, name := range []string{StateFile, AppliedFile} {
			path := filepath.Join(l.Dir, name)
			var err error
			switch n {
			case 1:
				_ = os.Remove(path)
				err = os.Mkdir(path, 0o755)
			case 3:
				err = os.Remove(path)
			case 4:
				close(over)
				n = 0
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- l.Run(ctx) }()
	for range 3 {
		triggers <- Trigger{Kind: Volume}
	}
	<-over
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if applied, err := readApplied(l.Dir); err != nil || applied["coder"].Action != policy.ActionStart {
		t.Errorf("applied are %v, %v", applied, err)
	}
	if s, err := ReadState(l.Dir); err != nil || s.Passes < 3 {
		t.Errorf("the state is %+v, %v", s, err)
	}
	for _, text := range []string{"the state cannot be written", "the applied decisions cannot be kept"} {
		if n := strings.Count(log.String(), "msg=\""+text); n != 1 {
			t.Errorf("%q is said %d times:\n%s", text, n, log.String())
		}
	}
}

// A watch that begins removes what killed writers left, and nothing that is being written.
func TestTemporaryFilesAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ago := time.Now().Add(-time.Hour)
	kept := map[string]bool{".watch.json1": false, ".applied.json22": false, ".applied.json3": true, "watch.json": true, ".other": true, ".watch.json": true}
	for name, isKept := range kept {
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, nil, 0o644)
		if name != ".applied.json3" {
			err = errors.Join(err, os.Chtimes(path, ago, ago))
		}
		if err != nil {
			t.Fatal(err, isKept)
		}
	}
	removeTemps(dir, time.Now())
	for name, want := range kept {
		if _, err := os.Lstat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v, kept %t", name, err, want)
		}
	}
}

// What others could have written counts as not there, and reading it ends.
func TestFilesOfOthers(t *testing.T) {
	t.Parallel()
	documents := map[string]string{
		AppliedFile: `{"coder":{"action":"start"}}`, AcceptFile: `{"profiles":["coder"],"at_unix":` + "1800000000}", policy.LeaseMemoryFile: `{"id":"x"}`,
	}
	for _, others := range []bool{false, true} {
		var log bytes.Buffer
		l, _ := newLoop(t, &log, nil)
		for name, text := range documents {
			path := filepath.Join(l.Dir, name)
			err := os.WriteFile(path, []byte(text), 0o644)
			if others {
				err = errors.Join(err, os.Chmod(path, 0o666))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		applied, appliedErr := readApplied(l.Dir)
		lease, leaseErr := Read[LeaseMemory](l.Dir, policy.LeaseMemoryFile)
		read := []bool{applied["coder"].Action == policy.ActionStart, appliedErr == nil, lease.ID == "x", leaseErr == nil, len(l.acceptedStops(start)) == 1, log.Len() == 0}
		for i, is := range read {
			if is == others {
				t.Errorf("others %t, %d: %t\n%s", others, i, is, log.String())
			}
		}
	}
}

// FuzzRunDirectory: whatever the files say, a watch begins and decides.
func FuzzRunDirectory(f *testing.F) {
	for _, text := range []string{
		`{"coder":null}`, `{"coder":{"action":7}}`, `{"":{}}`, `{"profiles":null}`, `{"profiles":["coder"],"at_unix":1800000000}`, `{"at_unix":9223372036854775807}`,
		`{"schema_version":1,"pid":-1,"lease":{},"blocked":["coder"]}`, `{"id":""}`, "", "null", "[]",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var log bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		l, _ := newLoop(t, &log, func(int) {})
		for _, name := range []string{StateFile, AppliedFile, AcceptFile, policy.LeaseMemoryFile} {
			if err := os.WriteFile(filepath.Join(l.Dir, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		l.Passed = func(reconcile.Report, error, []string, time.Duration, *State) { cancel() }
		_, _ = Read[LeaseMemory](l.Dir, policy.LeaseMemoryFile)
		_ = Accept(l.Dir, nil, start)
		if err := l.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if applied, err := readApplied(l.Dir); err != nil || applied["coder"].Action != policy.ActionStart {
			t.Errorf("applied are %v, %v", applied, err)
		}
		if _, err := ReadState(l.Dir); err != nil {
			t.Error(err)
		}
	})
}
