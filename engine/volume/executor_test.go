package volume

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

func identityAt(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Identity(info)
}

// A token lock is below the home, and its gateway's lock in the profile.
func TestSweepOfATokenLock(t *testing.T) {
	const lock = ".local/state/hermes/gateway-locks/telegram-bot-token-0123456789abcdef.lock"
	for _, c := range []struct {
		name, file, problem string
		lock                bool
	}{
		{name: "stale", file: lock},
		{name: "its gateway lives", file: lock, lock: true, problem: "holds gateway.lock"},
		{name: "another file", file: "config.yaml", problem: "not a runtime file"},
		{name: "a name that leads away", file: "locks/../../x-0123456789abcdef.lock", problem: "invalid"},
		{name: "through a link", file: "link/telegram-bot-token-0123456789abcdef.lock", problem: "not a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHome(t, map[string]string{lock: "{}", "config.yaml": "", "profiles/coder/gateway.lock": "", "link": "-> " + filepath.Dir(lock)})
			if c.lock {
				holdLock(t, filepath.Join(h.Path(), "profiles/coder/gateway.lock"))
			}
			path := filepath.Join(h.Path(), lock)
			op := policy.Operation{Op: policy.OpSweep, Profile: "coder", File: c.file, Identity: identityAt(t, path)}
			results := (&Executor{Home: h}).Execute(context.Background(), []policy.Operation{op}, policy.ExecuteOptions{})
			checkResult(t, results[0], c.problem == "", c.problem)
			if _, err := os.Lstat(path); os.IsNotExist(err) != (c.problem == "") {
				t.Errorf("after the sweep Lstat = %v", err)
			}
		})
	}
}

func TestSweepRemovesOnlyWhatTheFactsSaw(t *testing.T) {
	for _, c := range []struct {
		name    string
		files   map[string]string // of the profile coder
		file    string
		stale   bool // the identity belongs to another file
		lock    bool
		done    bool
		problem string
	}{
		{name: "stale pid file", files: map[string]string{"gateway.pid": "{}"}, file: "gateway.pid", done: true},
		{name: "with a free lock", files: map[string]string{"gateway.pid": "{}", "gateway.lock": ""}, file: "gateway.pid", done: true},
		{name: "a link is removed, not its target", files: map[string]string{"gateway.pid": "-> SOUL.md", "SOUL.md": "x"}, file: "gateway.pid", done: true},
		{name: "a FIFO", files: map[string]string{"gateway.pid": "fifo"}, file: "gateway.pid", done: true},
		{name: "gone", file: "gateway.pid"},
		{name: "changed", files: map[string]string{"gateway.pid": "{}"}, file: "gateway.pid", stale: true, problem: "changed"},
		{name: "gateway lives", files: map[string]string{"gateway.pid": "{}", "gateway.lock": ""}, file: "gateway.pid", lock: true, problem: "holds gateway.lock"},
		{name: "lock is a link", files: map[string]string{"gateway.pid": "{}", "gateway.lock": "-> /dev/null"}, file: "gateway.pid", problem: "cannot be known"},
		{name: "directory", files: map[string]string{"gateway.pid/": ""}, file: "gateway.pid", problem: "directory"},
		{name: "no runtime file", files: map[string]string{"SOUL.md": "x"}, file: "SOUL.md", problem: "not a runtime file"},
		{name: "the lock itself", files: map[string]string{"gateway.lock": ""}, file: "gateway.lock", problem: "not a runtime file"},
		{name: "elsewhere", files: map[string]string{"x": ""}, file: "../writer/gateway.pid", problem: "not a runtime file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{"profiles/coder/": "", "profiles/writer/gateway.pid": "{}"}
			for name, text := range c.files {
				files["profiles/coder/"+name] = text
			}
			h := newHome(t, files)
			path := filepath.Join(h.Path(), "profiles/coder", c.file)
			op := policy.Operation{Op: policy.OpSweep, Profile: "coder", File: c.file, Identity: "another"}
			if _, err := os.Lstat(path); err == nil && !c.stale {
				op.Identity = identityAt(t, path)
			}
			if c.lock {
				holdLock(t, filepath.Join(h.Path(), "profiles/coder/gateway.lock"))
			}
			results := (&Executor{Home: h}).Execute(context.Background(), []policy.Operation{{Op: policy.OpPublish}, op}, policy.ExecuteOptions{})
			if len(results) != 1 {
				t.Fatalf("Execute gave %d results, want 1: the executor does not publish", len(results))
			}
			checkResult(t, results[0], c.done, c.problem)
			if _, err := os.Lstat(path); c.done != os.IsNotExist(err) && len(c.files) > 0 {
				t.Errorf("after the sweep Lstat(%s) = %v", c.file, err)
			}
			for _, left := range []string{"profiles/writer/gateway.pid"} {
				if _, err := os.Lstat(filepath.Join(h.Path(), left)); err != nil {
					t.Errorf("%s: %v", left, err)
				}
			}
		})
	}
}

func holdLock(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

func checkResult(t *testing.T, r policy.Result, done bool, problem string) {
	t.Helper()
	if r.Done != done {
		t.Errorf("Done = %v, want %v (%v)", r.Done, done, r.Err)
	}
	if (problem == "") != (r.Err == nil) || (r.Err != nil && !strings.Contains(r.Err.Error(), problem)) {
		t.Errorf("Err = %v, want one with %q", r.Err, problem)
	}
}

// A profile directory that becomes a link after the facts were collected does not redirect
// the sweep.
func TestSweepIsNotLedAway(t *testing.T) {
	h := newHome(t, map[string]string{"profiles/coder/gateway.pid": "{}", "profiles/writer/gateway.pid": "{}"})
	if _, err := h.Profiles(context.Background()); err != nil {
		t.Fatal(err)
	}
	profiles := filepath.Join(h.Path(), "profiles")
	op := policy.Operation{Op: policy.OpSweep, Profile: "coder", File: "gateway.pid", Identity: identityAt(t, profiles+"/writer/gateway.pid")}
	if err := os.RemoveAll(profiles + "/coder"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("writer", profiles+"/coder"); err != nil {
		t.Fatal(err)
	}
	results := (&Executor{Home: h}).Execute(context.Background(), []policy.Operation{op}, policy.ExecuteOptions{})
	checkResult(t, results[0], false, "not a regular file")
	if _, err := os.Lstat(profiles + "/writer/gateway.pid"); err != nil {
		t.Errorf("the other profile's file: %v", err)
	}
}

func TestSeedWritesWhatUpstreamReads(t *testing.T) {
	h := newHome(t, nil)
	e := &Executor{Home: h}
	before := float64(time.Now().Unix())
	op := policy.Operation{Op: policy.OpSeed, Profile: "default", Seed: &policy.Seed{State: "running", MigratedFrom: "legacy-container-cmd"}}
	checkResult(t, e.Execute(context.Background(), []policy.Operation{op}, policy.ExecuteOptions{})[0], true, "")
	path := filepath.Join(h.Path(), policy.StateFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	updated, _ := got["updated_at"].(float64)
	if updated < before || updated > float64(time.Now().Unix()) || updated != math.Trunc(updated) {
		t.Errorf("updated_at is %v, want now in whole seconds", got["updated_at"])
	}
	want := map[string]any{"gateway_state": "running", "desired_state": "running", "updated_at": updated, "migrated_from": "legacy-container-cmd"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state file (-want +got):\n%s", diff)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, want 0644", info.Mode())
	}
	onlyEntries(t, h.Path(), policy.StateFile)
}

func TestSeedNeverReplaces(t *testing.T) {
	for name, text := range map[string]string{"file": `{"desired_state":"stopped"}`, "link": "-> /dev/null", "dangling link": "-> nowhere", "fifo": "fifo"} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t, map[string]string{policy.StateFile: text})
			before := identityAt(t, filepath.Join(h.Path(), policy.StateFile))
			op := policy.Operation{Op: policy.OpSeed, Profile: "default", Seed: &policy.Seed{State: "running"}}
			checkResult(t, (&Executor{Home: h}).Execute(context.Background(), []policy.Operation{op}, policy.ExecuteOptions{})[0], false, "")
			if identityAt(t, filepath.Join(h.Path(), policy.StateFile)) != before {
				t.Errorf("the existing file was replaced")
			}
			onlyEntries(t, h.Path(), policy.StateFile)
		})
	}
}

func TestSeedsAtOnceWriteOneFile(t *testing.T) {
	h := newHome(t, nil)
	e := &Executor{Home: h}
	op := policy.Operation{Op: policy.OpSeed, Profile: "default", Seed: &policy.Seed{State: "running"}}
	var done atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if r := e.Execute(context.Background(), []policy.Operation{op}, policy.ExecuteOptions{})[0]; r.Done {
				done.Add(1)
			} else if r.Err != nil {
				t.Error(r.Err)
			}
		})
	}
	all.Wait()
	if done.Load() != 1 {
		t.Errorf("%d of 16 wrote the file, want 1", done.Load())
	}
	onlyEntries(t, h.Path(), policy.StateFile)
}

func onlyEntries(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries of the directory (-want +got):\n%s", diff)
	}
}

// On a running container a gateway may start between collection and sweep. Its files then
// stay, and the sweep is not an error.
func TestSweepBesideAGatewayThatStarts(t *testing.T) {
	for _, live := range []bool{false, true} {
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "gateway.pid"), []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
		h, err := Open(root)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		op := policy.Operation{Op: policy.OpSweep, Profile: policy.RootProfile, File: "gateway.pid", Identity: "another"}
		result := (&Executor{Home: h, Live: live}).Execute(t.Context(), []policy.Operation{op}, policy.ExecuteOptions{})[0]
		if result.Done || (result.Err != nil) == live {
			t.Errorf("live %v: done %v, %v", live, result.Done, result.Err)
		}
		if _, err := os.Stat(filepath.Join(root, "gateway.pid")); err != nil {
			t.Errorf("live %v: it was removed: %v", live, err)
		}
	}
}
