package remote

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// startChild starts the volume's side on an empty home, which belongs to the user of
// the settings.
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

// A volume that hangs stops the child; whoever waits for it goes on.
func TestAVolumeThatHangs(t *testing.T) {
	v := startChild(t, Settings{Timeout: 10 * time.Millisecond})
	if err := v.process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	_, err := v.Collect(t.Context(), func(string, policy.Facts) {})
	if err == nil || err.Error() != "the volume does not answer in time" {
		t.Errorf("Collect: %v, want an error that says so", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	sweep := []policy.Operation{{Op: policy.OpSweep, Profile: "coder", File: "gateway.pid"}, {Op: policy.OpPublish, Profile: "coder"}}
	results := v.Execute(ctx, sweep)
	if len(results) != 1 || results[0].Err == nil || results[0].Done {
		t.Errorf("Execute: %+v, want one result, an error, for the sweep alone", results)
	}
	if err := v.AppendLog(ctx, "x.log", []byte("x\n")); err == nil {
		t.Error("AppendLog: no error")
	}
}

// A child that dies is an error for what was asked, with its cause.
func TestTheProcessForTheVolumeDies(t *testing.T) {
	v := startChild(t, Settings{Timeout: 10 * time.Millisecond})
	if err := v.process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err := v.Collect(t.Context(), func(string, policy.Facts) {})
	if err == nil || !strings.Contains(err.Error(), "the process for the volume ended") {
		t.Errorf("Collect: %v, want an error that says so", err)
	}
}

// The child is the unprivileged user before it looks at the home: with all its
// threads, without root's groups, and without a way back.
func TestTheVolumesSideIsTheUnprivilegedUser(t *testing.T) {
	const id = 10000
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	v := startChild(t, Settings{OnlyRoot: true, User: &User{UID: id, GID: id}})
	if err := v.AppendLog(t.Context(), "x.log", []byte("x\n")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(v.settings.Home, "logs", "x.log"))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid != id || owner.Gid != id {
		t.Errorf("what it writes belongs to %d:%d, want %d:%d", owner.Uid, owner.Gid, id, id)
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", v.process.Pid))
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

// Who cannot become the unprivileged user touches nothing and says why.
func TestTheVolumesSideCannotBecomeTheUser(t *testing.T) {
	var s Settings
	if os.Geteuid() == 0 {
		s.User = &User{UID: 10000, GID: 10000} // who is not root any more
	}
	v := startChild(t, s)
	if err := v.requests.encode(request{Settings: &Settings{Home: v.settings.Home, User: &User{UID: 1, GID: 1}}}); err != nil {
		t.Fatal(err)
	}
	err := v.AppendLog(t.Context(), "x.log", []byte("x\n"))
	if err == nil || !strings.Contains(err.Error(), "become the user 1:1: operation not permitted") {
		t.Errorf("AppendLog: %v, want an error that says who it cannot become", err)
	}
	if _, err := os.Stat(filepath.Join(v.settings.Home, "logs")); err == nil {
		t.Error("it wrote all the same")
	}
}

// Others of the agent's user cannot look into the child, and so not trace it.
func TestTheVolumesSideCannotBeTraced(t *testing.T) {
	const id = 10000
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	v := startChild(t, Settings{OnlyRoot: true, User: &User{UID: id, GID: id}})
	_, _ = v.Change(t.Context(), engine.Change{Kind: engine.ReadIntent, Profile: policy.RootProfile}) // it has its settings
	look := exec.CommandContext(t.Context(), "cat", fmt.Sprintf("/proc/%d/environ", v.process.Pid))
	look.Dir = "/"
	look.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	if out, err := look.CombinedOutput(); err == nil || !strings.Contains(string(out), "denied") {
		t.Errorf("uid %d reads what the child has: %v", id, err)
	}
}
