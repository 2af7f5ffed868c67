package remote

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/child"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
)

// agent is the user that the child becomes, and that attacks it.
const agent = 10000

// startAttacked starts a child that is the agent's by now.
func startAttacked(t *testing.T) *Child {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	v := startChild(t, Settings{User: &trust.User{UID: agent, GID: agent}})
	if _, err := v.Change(t.Context(), engine.Change{Kind: engine.ReadIntent, Profile: policy.RootProfile}); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return v
}

// sendAsAgent sends a signal to the child as the agent.
func sendAsAgent(t *testing.T, v *Child, signal string) {
	t.Helper()
	pid := processOf(v).PID
	if pid <= 1 {
		t.Fatalf("process %d is not to be signalled", pid)
	}
	kill := exec.CommandContext(t.Context(), "/bin/kill", "-s", signal, fmt.Sprint(pid))
	kill.Dir = "/"
	kill.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: agent, Gid: agent}}
	if out, err := kill.CombinedOutput(); err != nil {
		t.Fatalf("kill: %v: %s", err, out)
	}
}

// answers asks the child for facts and for a line in a log.
func answers(t *testing.T, v *Child) {
	t.Helper()
	profiles := 0
	if _, err := v.Collect(t.Context(), func(string, policy.Facts) { profiles++ }); err != nil || profiles == 0 {
		t.Errorf("Collect: %d profiles, %v", profiles, err)
	}
	if err := v.AppendLog(t.Context(), "x.log", []byte("x\n")); err != nil {
		t.Errorf("AppendLog: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(v.settings.Home, "logs/x.log")); err != nil || string(text) != "x\n" {
		t.Errorf("the log is %q, %v", text, err)
	}
}

// The agent ends or stops the child. The request is answered nevertheless, and soon.
func TestAnAttackedChildIsReplaced(t *testing.T) {
	for _, signal := range []string{"KILL", "STOP", "SEGV", "QUIT", "TERM"} {
		t.Run(signal, func(t *testing.T) {
			v := startAttacked(t)
			before := time.Now()
			sendAsAgent(t, v, signal)
			answers(t, v)
			if took := time.Since(before); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// A child that the agent ends between two requests is replaced for the second.
func TestAChildThatDiesBeforeTheLog(t *testing.T) {
	v := startAttacked(t)
	if _, err := v.Collect(t.Context(), func(string, policy.Facts) {}); err != nil {
		t.Fatal(err)
	}
	sendAsAgent(t, v, "KILL")
	answers(t, v)
}

// Whatever signal the agent sends, the child prints nothing to root's standard error.
func TestSignalsLeaveNothingInRootsLog(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	log, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	rootsLog := os.Stderr
	os.Stderr = log
	defer func() { os.Stderr = rootsLog }()
	for _, signal := range []string{"QUIT", "ABRT", "SEGV", "ILL", "BUS", "SYS", "TRAP"} {
		v := startAttacked(t)
		sendAsAgent(t, v, signal)
		answers(t, v)
	}
	if text, err := os.ReadFile(log.Name()); err != nil || len(text) > 0 {
		t.Errorf("root's log has %.300q, %v", text, err)
	}
}

// The child works however few processes its user may have.
func TestAProcessLimitStopsNoRequest(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	s := Settings{Home: t.TempDir(), Timeout: time.Minute, SourceTimeout: time.Minute, User: &trust.User{UID: agent, GID: agent}}
	if err := errors.Join(os.Chown(s.Home, agent, agent), os.Chmod(filepath.Dir(s.Home), 0o755)); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if err := os.MkdirAll(fmt.Sprintf("%s/profiles/p%d", s.Home, i), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	one := unix.Rlimit{Cur: 1, Max: 1}
	limited := func() (io.ReadWriteCloser, error) {
		pipes, err := start()
		if err != nil {
			return nil, err
		}
		return pipes, unix.Prlimit(pipes.(*child.Process).PID, unix.RLIMIT_NPROC, &one, nil)
	}
	pipes, err := limited()
	if err != nil {
		t.Fatal(err)
	}
	v := newChild(pipes, Settings{})
	defer v.Close()
	v.restart = limited
	if err := v.Configure(s); err != nil {
		t.Fatal(err)
	}
	answers(t, v)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", processOf(v).PID))
	if err != nil || !strings.Contains(string(status), "Uid:\t10000\t10000\t10000\t10000\n") {
		t.Errorf("it is %s, %v", status, err)
	}
}
