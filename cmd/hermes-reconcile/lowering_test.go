package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
)

// agent is the unprivileged user of these tests.
const agent = s6test.UserID

// attacked runs the program while the agent's user sends a signal to every process of the
// program that this user may signal: the child that works on the volume.
func (l *liveScan) attacked(signal unix.Signal, words string, more ...string) (code int, text string, took time.Duration) {
	l.t.Helper()
	cmd := exec.CommandContext(l.t.Context(), l.program(), append(append(strings.Fields(words), l.places...), more...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &out, "/"
	cmd.WaitDelay = time.Second // the child that is stopped has the standard error too
	begun := time.Now()
	s6test.Must(l.t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		// The child lives for milliseconds, which a busy machine gives to others. The thread
		// with this priority ends with the goroutine.
		runtime.LockOSThread()
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20)
		for {
			select {
			case <-ended:
				return
			default:
				signalChildren(cmd.Process.Pid, agent, signal)
			}
		}
	}()
	err := cmd.Wait()
	took = time.Since(begun)
	close(ended)
	if exited, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok && !errors.Is(err, exec.ErrWaitDelay) {
		l.t.Fatal(err)
	} else if ok {
		code = exited.ExitCode()
	}
	return code, out.String(), took
}

// signalChildren sends a signal to the children of a process that run as a user. That user
// may do so too, but is slower in a shell.
func signalChildren(parent, uid int, signal unix.Signal) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for _, word := range strings.Fields(string(children)) {
			status, _ := os.ReadFile("/proc/" + word + "/status")
			if pid, err := strconv.Atoi(word); err == nil && pid > 1 && strings.Contains(string(status), fmt.Sprintf("\nUid:\t%d\t", uid)) {
				_ = unix.Kill(pid, signal)
			}
		}
	}
}

// program returns a copy of this program that the agent's user can run.
func (l *liveScan) program() string {
	l.t.Helper()
	copied := filepath.Join(l.base, "hermes-reconcile")
	if _, err := os.Stat(copied); err == nil {
		return copied
	}
	program, err := os.Executable()
	s6test.Must(l.t, err)
	s6test.Must(l.t, exec.Command("cp", program, copied).Run())
	return copied
}

// The agent's user stops the process for the volume. A stop needs no volume: the gateway is
// down and stays down, soon, and the lock is free again. The report says what is missing.
func TestStopOfAStoppedVolume(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	missing := regexp.MustCompile(`FAILED  coder: (the intent "stopped" cannot be recorded|the planned-stop marker)`)
	for _, command := range []string{"stop", "unregister"} {
		l := startLiveAs(t, agent, "coder=running")
		l.untilNow("coder", policy.NowUp)
		code, text, took := l.attacked(unix.SIGSTOP, command+" coder --kill --timeout 4s")
		for range 20 { // on a busy machine the attack may miss the child, and nothing is wrong
			if code != cli.ExitDone {
				break
			}
			if command == "unregister" {
				l.want(cli.ExitDone, "", "register coder")
			}
			l.want(cli.ExitDone, "", "start coder --up-for 0s")
			l.untilNow("coder", policy.NowUp)
			code, text, took = l.attacked(unix.SIGSTOP, command+" coder --kill --timeout 4s")
		}
		// On a busy machine the intent may be written before the attack comes.
		if code != cli.ExitProfile || !missing.MatchString(text) || !strings.Contains(text, "with an error") {
			t.Errorf("%s: exit status %d\n%s", command, code, text)
		}
		if took > 8*time.Second {
			t.Errorf("%s took %v", command, took)
		}
		slots := l.status().Profiles["coder"]
		if want := map[string]policy.Maybe{"stop": policy.NowDown, "unregister": ""}[command]; slots.Now != want || slots.Slot == policy.SlotUp {
			t.Errorf("after %s coder is %s, its slot %s", command, slots.Now, slots.Slot)
		}
	}
}

// A stop does not wait for the volume while it has the lock.
func TestTheLockIsFreeWhileTheVolumeDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	l := startLiveAs(t, agent, "coder=running")
	l.untilNow("coder", policy.NowUp)
	done := make(chan time.Duration)
	go func() {
		_, _, took := l.attacked(unix.SIGSTOP, "stop coder --timeout 4s")
		done <- took
	}()
	l.untilNow("coder", policy.NowDown)
	begun := time.Now()
	l.want(cli.ExitDone, "coder: started", "start coder --up-for 0s")
	if waited := time.Since(begun); waited > 3*time.Second {
		t.Errorf("another command waited %v", waited)
	}
	<-done
}

// The agent's user ends the process for the volume whenever it appears. A hold that rests on
// the name counts; what nothing holds goes on; and no command says that there is no such
// profile.
func TestHoldWithoutFacts(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	for _, signal := range []unix.Signal{unix.SIGKILL, unix.SIGSTOP} {
		l := startLiveAs(t, agent, "coder=running", "writer=running", "idle=stopped")
		l.configure(agent, agent, "facts: {timeout: 2s}")
		writer := l.untilNow("writer", policy.NowUp).Profiles["writer"].PID
		l.untilNow("coder", policy.NowUp)
		night := l.policy("package reconcile.rules.night\n\nhold contains {\"profile\": \"coder\", \"code\": \"night\", \"reason\": \"it is night\"} if true\n")
		code, text, took := l.attacked(signal, "apply --kill --timeout 4s", night...)
		// On a busy machine a child may answer before the attack comes: then nothing is wrong.
		if code != cli.ExitProfile && code != cli.ExitDone || !strings.Contains(text, "bring-down  coder") || strings.Contains(text, "writer  gateway") || took > 15*time.Second {
			t.Errorf("%s: apply: exit status %d after %v\n%s", signal, code, took, text)
		}
		d := l.status()
		if d.Profiles["coder"].Now != policy.NowDown || d.Profiles["writer"].PID != writer || d.Profiles["idle"].Now != policy.NowDown {
			t.Errorf("%s: coder is %s, writer has pid %d, had %d, idle is %s", signal, d.Profiles["coder"].Now, d.Profiles["writer"].PID, writer, d.Profiles["idle"].Now)
		}
	}
}

// Without the volume, explain and status report what is known, and that the facts could not
// be read.
func TestExplainWithoutFacts(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=stopped", "writer=stopped")
	l.untilNow("writer", policy.NowDown)
	night := l.policy("package reconcile.rules.night\n\nhold contains {\"profile\": \"coder\", \"code\": \"night\", \"reason\": \"it is night\"} if true\n")
	home := filepath.Join(l.base, "home")
	s6test.Must(t, os.Rename(home, home+".away"))
	l.write("home", "no directory", 0o644)
	l.want(cli.ExitProfile, "coder: DOWN (night): it is night", "explain coder", night...)
	l.want(cli.ExitProfile, "writer: UNDECIDED (volume): its facts could not be read", "explain writer", night...)
	l.want(cli.ExitProfile, "whether there is a profile \"nobody\" is not known", "explain nobody", night...)
	l.want(cli.ExitProfile, "coder    down    down  down  ", "status coder", night...)
	l.want(cli.ExitProfile, "the facts about profiles are not complete", "status writer", night...)
}

// The agent's user takes the directory of the profiles away. The hold counts, and what
// nothing holds goes on.
func TestHoldWithoutTheProfiles(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running", "writer=running")
	l.untilNow("coder", policy.NowUp)
	l.untilNow("writer", policy.NowUp)
	night := l.policy("package reconcile.rules.night\n\nhold contains {\"profile\": \"coder\", \"code\": \"night\", \"reason\": \"it is night\"} if true\n")
	profiles := filepath.Join(l.base, "home/profiles")
	s6test.Must(t, os.Rename(profiles, profiles+".away"))
	l.want(cli.ExitDone, "bring-down  coder", "apply", night...)
	l.want(cli.ExitDone, "Nothing to do.", "apply coder", night...)
	if d := l.status(); d.Profiles["coder"].Now != policy.NowDown || d.Profiles["writer"].Now != policy.NowUp {
		t.Errorf("coder is %s, writer is %s", d.Profiles["coder"].Now, d.Profiles["writer"].Now)
	}
}

// The agent's user starts a held slot again and again. apply and stop win, a held profile
// cannot be started any more, and whoever ends the hold gives the right back.
func TestUserCannotStartAHeldSlot(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	l := startLiveAs(t, agent, "coder=running")
	l.untilNow("coder", policy.NowUp)
	night := l.policy("package reconcile.rules.night\n\nhold contains {\"profile\": \"coder\", \"code\": \"night\", \"reason\": \"it is night\"} if true\n")
	control := filepath.Join(l.base, "scan/gateway-coder/supervise/control")
	loop := s6test.Shell(t, agent, "exec 3>"+control+"; trap '' PIPE; while :; do printf uuuuuuuuuuuuuuuuuuuu >&3; s6-svc -u "+l.base+"/scan/gateway-coder; done 2>/dev/null")
	s6test.Must(t, loop.Start())
	t.Cleanup(func() { _ = loop.Process.Kill(); _ = loop.Wait() })
	l.want(cli.ExitDone, "bring-down  coder", "apply --timeout 4s", night...)
	l.want(cli.ExitDone, "coder: already down", "stop coder", night...)
	time.Sleep(500 * time.Millisecond)
	if d := l.status().Profiles["coder"]; d.Now != policy.NowDown || d.Slot != policy.SlotDown {
		t.Errorf("coder is %s, its slot %s", d.Now, d.Slot)
	}
	l.want(cli.ExitDone, "Nothing to do.", "apply", night...)
	_ = loop.Process.Kill()
	l.want(cli.ExitDone, "~ update  coder  gateway-coder supervise/control", "apply")
	l.want(cli.ExitDone, "Nothing to do.", "apply")
	if out, err := s6test.Shell(t, agent, "s6-svc -u "+l.base+"/scan/gateway-coder").CombinedOutput(); err != nil {
		t.Errorf("the user cannot start what nothing holds: %v: %s", err, out)
	}
	l.untilNow("coder", policy.NowUp)
}

// A stop names what is left of a gateway, and --kill ends it.
func TestStopReportsWhatAGatewayLeaves(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=stopped", "writer=stopped")
	l.write("gateway", "#!/bin/sh\nsetsid sleep 1000001 &\n(setsid sleep 1000001 &)\nexec sleep 1000000\n", 0o755)
	l.want(cli.ExitDone, "coder: started", "start coder")
	l.want(cli.ExitDone, "writer: started", "start writer")
	l.want(cli.ExitProfile, "coder: stopped, with an error\nFAILED  coder: bring-down gateway-coder: the gateway is down, and 2 processes of it still run (pid ", "stop coder --timeout 4s")
	l.want(cli.ExitDone, "coder: already down", "stop coder --kill")
	l.want(cli.ExitDone, "writer: slot removed", "unregister writer --kill")
	for _, p := range s6test.Processes(t, l.base) {
		if strings.Contains(p.Command, "sleep") {
			t.Errorf("left: %s", p.Command)
		}
	}
}
