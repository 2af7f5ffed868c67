package remote

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/child"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
)

// startChild starts the child on an empty home that belongs to the user in the settings.
func startChild(t *testing.T, s Settings) *Child {
	t.Helper()
	s.Home = t.TempDir()
	if s.User != nil {
		if err := os.Chown(s.Home, s.User.UID, s.User.GID); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(s.Home), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if s.Timeout == 0 {
		s.Timeout = time.Minute
	}
	s.SourceTimeout = time.Minute
	v, err := Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func processOf(v *Child) *child.Process { return v.pipes.(*child.Process) }

// A fakeChild answers every request with the same list of messages while the pipes are
// open.
type fakeChild struct {
	io.Reader
	closed atomic.Bool
}

func (c *fakeChild) Write(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, os.ErrClosed
	}
	return len(p), nil
}

func (c *fakeChild) Close() error {
	c.closed.Store(true)
	return nil
}

func (c *fakeChild) Read(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, os.ErrClosed
	}
	return c.Reader.Read(p)
}

// A child that breaks the protocol is ended. Its remaining output is not the answer to the
// next request.
func TestAChildThatBreaksTheProtocol(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		why   string
		write func(out *child.Stream)
		want  string
	}{
		{"a fact that is no JSON", func(out *child.Stream) { out.Write(answer{Profile: "coder"}, []byte("name"), []byte("{")) }, `the fact "name" is not valid JSON`},
		{"an answer that is no JSON", func(out *child.Stream) { out.Write(json.RawMessage(`{"Profile":7}`)) }, "cannot unmarshal"},
		{"too long an answer", func(out *child.Stream) { out.Write(answer{Profile: "coder"}, make([]byte, 2000)) }, "longer than 1000 bytes"},
	} {
		t.Run(test.why, func(t *testing.T) {
			t.Parallel()
			var pipe bytes.Buffer
			out := child.NewStream(nil, &pipe)
			test.write(out)
			out.Write(answer{Done: true})
			out.Flush()
			child := &fakeChild{Reader: &pipe}
			v := newChild(child, Settings{Timeout: time.Minute})
			v.stream.Limit = 1000
			if _, err := v.Collect(t.Context(), func(string, policy.Facts) {}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Collect: %v, want an error with %q", err, test.want)
			}
			if err := v.AppendLog(t.Context(), "x.log", []byte("x\n")); err == nil {
				t.Error("AppendLog read the rest of the answer to Collect")
			}
			if !child.closed.Load() {
				t.Error("the child still runs")
			}
		})
	}
}

// An error counts as the answer only if it is the last message.
func TestAnErrorBeforeTheEndOfTheAnswer(t *testing.T) {
	t.Parallel()
	var pipe bytes.Buffer
	out := child.NewStream(nil, &pipe)
	for _, a := range []answer{{Error: "x"}, {Done: true}, {Error: "of the log", Done: true}} {
		out.Write(a)
	}
	out.Flush()
	v := newChild(&fakeChild{Reader: &pipe}, Settings{Timeout: time.Minute})
	if _, err := v.Collect(t.Context(), func(string, policy.Facts) {}); err != nil {
		t.Errorf("Collect: %v", err)
	}
	if err := v.AppendLog(t.Context(), "x.log", nil); err == nil || err.Error() != "of the log" {
		t.Errorf("AppendLog: %v, want the error of its own answer", err)
	}
}

// If a child returns too few or too many results, all of them are ignored.
func TestAChildThatGivesAnotherNumberOfResults(t *testing.T) {
	t.Parallel()
	sweep := []policy.Operation{{Op: policy.OpSweep, Profile: "coder", File: "gateway.pid"}}
	for _, results := range [][]result{nil, {{Done: true}, {Done: true}}} {
		var pipe bytes.Buffer
		out := child.NewStream(nil, &pipe)
		text, _ := json.Marshal(results)
		out.Write(answer{Done: true}, text)
		out.Flush()
		got := newChild(&fakeChild{Reader: &pipe}, Settings{}).Execute(t.Context(), sweep, policy.ExecuteOptions{})
		if len(got) != 1 || got[0].Done || got[0].Err == nil {
			t.Errorf("Execute with %d results: %+v, want one error", len(results), got)
		}
	}
}

// Neither process sets a memory limit. A rule may use more memory than the rest of the
// program, and below a limit the collector would then run all the time.
func TestTuneMemorySetsNoLimit(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	TuneMemory()
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		t.Errorf("a memory limit of %d bytes, want none", limit)
	}
}

// silentPipes are those of a child that never answers.
type silentPipes struct{ *os.File }

func (silentPipes) Write(p []byte) (int, error) { return len(p), nil }

// A volume that hangs stops the child, and the waiting caller continues. It waits only once.
func TestAVolumeThatHangs(t *testing.T) {
	t.Parallel()
	silent, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	v := newChild(silentPipes{silent}, Settings{Timeout: 10 * time.Millisecond})
	v.restart = func() (io.ReadWriteCloser, error) { return nil, errors.New("a second child for a volume that hangs") }
	_, err = v.Collect(t.Context(), func(string, policy.Facts) {})
	if !errors.Is(err, errLate) {
		t.Errorf("Collect: %v, want an error that says so", err)
	}
	before := time.Now()
	sweep := []policy.Operation{{Op: policy.OpSweep, Profile: "coder", File: "gateway.pid"}, {Op: policy.OpPublish, Profile: "coder"}}
	results := v.Execute(t.Context(), sweep, policy.ExecuteOptions{})
	if len(results) != 1 || results[0].Err == nil || results[0].Done {
		t.Errorf("Execute: %+v, want one result, an error, for the sweep alone", results)
	}
	if err := v.AppendLog(t.Context(), "x.log", []byte("x\n")); err == nil {
		t.Error("AppendLog: no error")
	}
	if waited := time.Since(before); waited > time.Second {
		t.Errorf("the later requests waited for %s", waited)
	}
}

// Whatever needs the volume gets the reason for which its process could not be started.
func TestAProcessThatCannotBeStarted(t *testing.T) {
	reason := errors.New("resource temporarily unavailable")
	v := Unreachable(reason)
	defer v.Close()
	if _, err := v.Collect(t.Context(), func(string, policy.Facts) {}); !errors.Is(err, reason) {
		t.Errorf("Collect: %v, want %v", err, reason)
	}
	operations := []policy.Operation{{Op: policy.OpSeed, Profile: "coder"}, {Op: policy.OpPublish, Profile: "coder"}}
	results := v.Execute(t.Context(), operations, policy.ExecuteOptions{})
	if len(results) != 1 || !errors.Is(results[0].Err, reason) {
		t.Errorf("Execute: %+v, want one result, %v", results, reason)
	}
}

// A command on a running container does not wait as long as a collection may: what is left of
// its patience bounds every other request.
func TestAVolumeThatHangsWhileTheScanDirectoryIsLocked(t *testing.T) {
	t.Parallel()
	silent, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	v := newChild(silentPipes{silent}, Settings{Phase: policy.PhaseApply, Timeout: time.Minute})
	v.left = 10 * time.Millisecond
	before := time.Now()
	results := v.Execute(t.Context(), []policy.Operation{{Op: policy.OpSweep, Profile: "coder", File: "gateway.pid"}}, policy.ExecuteOptions{})
	if len(results) != 1 || !errors.Is(results[0].Err, errLate) {
		t.Errorf("Execute: %+v, want one result that says so", results)
	}
	if _, err := v.Runs(t.Context(), ledger.Query{Most: 1}); !errors.Is(err, errLate) {
		t.Errorf("Runs: %v, want an error that says so", err)
	}
	if waited := time.Since(before); waited > 10*time.Second {
		t.Errorf("the requests waited for %s", waited)
	}
}

// A request fails, with the cause, when its child and the new one die.
func TestTheProcessForTheVolumeDies(t *testing.T) {
	v := startChild(t, Settings{})
	kill := func() {
		if err := processOf(v).Kill(); err != nil {
			t.Fatal(err)
		}
	}
	kill()
	restart := v.restart
	v.restart = func() (io.ReadWriteCloser, error) {
		pipes, err := restart()
		if err == nil {
			err = pipes.(*child.Process).Kill()
		}
		return pipes, err
	}
	_, err := v.Collect(t.Context(), func(string, policy.Facts) {})
	if err == nil || !strings.Contains(err.Error(), "the process for the volume ended") {
		t.Errorf("Collect: %v, want an error that says so", err)
	}
	v.restart = restart
	if err := v.AppendLog(t.Context(), "x.log", []byte("x\n")); err != nil {
		t.Errorf("AppendLog after that: %v", err)
	}
}

// The child becomes the unprivileged user before it opens the home: in all threads, without
// the groups of root, and irreversibly.
func TestTheVolumesSideIsTheUnprivilegedUser(t *testing.T) {
	const id = 10000
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	v := startChild(t, Settings{User: &trust.User{UID: id, GID: id}})
	if err := v.AppendLog(t.Context(), "x.log", []byte("x\n")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(v.settings.Home, "logs", "x.log"))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid != id || owner.Gid != id {
		t.Errorf("its file belongs to %d:%d, want %d:%d", owner.Uid, owner.Gid, id, id)
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", processOf(v).PID))
	if err != nil || len(threads) == 0 {
		t.Fatalf("threads %v, %v", threads, err)
	}
	for _, thread := range threads {
		status, err := os.ReadFile(thread)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"Uid:\t10000\t10000\t10000\t10000\n", "Gid:\t10000\t10000\t10000\t10000\n", "Groups:\t \n", "CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n"} {
			if !strings.Contains(string(status), want) {
				t.Errorf("%s has no %q:\n%s", thread, want, status)
			}
		}
	}
}

// A child that cannot become the unprivileged user changes nothing and reports why.
func TestTheVolumesSideCannotBecomeTheUser(t *testing.T) {
	var s Settings
	if os.Geteuid() == 0 {
		s.User = &trust.User{UID: 10000, GID: 10000} // this user is no longer root
	}
	v := startChild(t, s)
	if err := v.stream.Write(request{Settings: &Settings{Home: v.settings.Home, User: &trust.User{UID: 1, GID: 1}}}); err != nil {
		t.Fatal(err)
	}
	err := v.AppendLog(t.Context(), "x.log", []byte("x\n"))
	if err == nil || !strings.Contains(err.Error(), "become the user 1:1: operation not permitted") {
		t.Errorf("AppendLog: %v, want an error that names the user", err)
	}
	if _, err := os.Stat(filepath.Join(v.settings.Home, "logs")); err == nil {
		t.Error("it wrote anyway")
	}
}

// Other processes of the agent's user cannot read the memory of the child, so they cannot
// trace it.
func TestTheVolumesSideCannotBeTraced(t *testing.T) {
	const id = 10000
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	v := startChild(t, Settings{User: &trust.User{UID: id, GID: id}})
	_, _ = v.Change(t.Context(), engine.Change{Kind: engine.ReadIntent, Profile: policy.RootProfile}) // the child has its settings now
	look := exec.CommandContext(t.Context(), "cat", fmt.Sprintf("/proc/%d/environ", processOf(v).PID))
	look.Dir = "/"
	look.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	if out, err := look.CombinedOutput(); err == nil || !strings.Contains(string(out), "denied") {
		t.Errorf("uid %d can read the memory of the child: %v", id, err)
	}
}
