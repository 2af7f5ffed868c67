package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/engine/hometest"
)

// started starts this program as a process of its own.
func started(t *testing.T, out, errs *os.File, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{"hermes-reconcile"}, args...)
	cmd.Stdout, cmd.Stderr = out, errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// soon is how long a process may need for what it does at once, on a machine that is busy with
// other tests. What the tests keep a process from waiting for takes much longer.
const soon = 20 * time.Second

// ended waits for the end of a process and returns its exit status, -1 when a signal ended it.
func ended(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(soon):
		_ = cmd.Process.Kill()
		<-done
		t.Errorf("%v has not ended after %s", cmd.Args[1:], soon)
	}
	return cmd.ProcessState.ExitCode()
}

// fullPipe is the end for writing of a pipe that is full, and that nobody reads.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	size, err := unix.FcntlInt(w.Fd(), unix.F_GETPIPE_SZ, 0)
	if err == nil {
		_, err = w.Write(make([]byte, size))
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func tempFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func textOf(t *testing.T, f *os.File) string {
	t.Helper()
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// bootHome is a home with a profile that starts.
func bootHome(t *testing.T) string {
	return homeWith(t, map[string]string{
		"home/profiles/coder/SOUL.md": "", "home/profiles/coder/gateway_state.json": `{"desired_state": "running"}`, "scan/.keep": "",
	})
}

// Output that nobody reads delays a command and does not stop it: slots and logs are made.
func TestNobodyReads(t *testing.T) {
	t.Setenv("TEST_PATIENCE", "300ms")
	for _, test := range []struct {
		words string
		code  int // when nobody reads standard output
	}{
		{"boot --log-level debug", cli.ExitDone}, {"eval", cli.ExitProfile}, {"status", cli.ExitProfile}, {"apply --wait=false", cli.ExitProfile}, {"facts -o json", cli.ExitProfile}, {"nonsense", cli.ExitUsage},
	} {
		for _, unread := range []string{"stdout", "stderr", "both"} {
			t.Run(test.words+" "+unread, func(t *testing.T) {
				dir := bootHome(t)
				out, errs := tempFile(t), tempFile(t)
				if unread != "stderr" {
					out = fullPipe(t)
				}
				if unread != "stdout" {
					errs = fullPipe(t)
				}
				code := ended(t, started(t, out, errs, strings.Fields(test.words)...))
				want := test.code
				if want == cli.ExitProfile && unread == "stderr" {
					want = cli.ExitDone
				}
				if code != want {
					t.Errorf("exit status %d, want %d", code, want)
				}
				if unread == "stdout" && test.words != "nonsense" && strings.Count(textOf(t, errs), "standard output: nobody reads it") != 1 {
					t.Errorf("standard error is %q", textOf(t, errs))
				}
				if !strings.HasPrefix(test.words, "boot") {
					return
				}
				ledger, err := os.ReadFile(filepath.Join(dir, "home/logs/container-boot.jsonl"))
				if _, statErr := os.Stat(filepath.Join(dir, "scan/gateway-coder/run")); errors.Join(err, statErr) != nil || !bytes.Contains(ledger, []byte(`"started"`)) {
					t.Errorf("%v, %v, the ledger is %q", err, statErr, ledger)
				}
			})
		}
	}
}

// slowTest is a test of rules in a builtin that does not look whether it is to end.
const slowTest = `package reconcile.rules.slow_test

test_slow if {
	text := concat("", ["abbaabab" | some _ in numbers.range(1, 400000)])
	not regex.match("[ab]{900}[ab]{900}z", text)
}
`

// A signal ends the program within a second, whatever the program does; a second signal ends
// it at once. No stacks are printed.
func TestSignalsEndTheProgram(t *testing.T) {
	dir := bootHome(t)
	hometest.Put(t, dir, "rules/slow_test.rego", slowTest)
	hometest.Put(t, dir, "rules/slow.rego", "package reconcile.rules.slow\n\nstart contains {\"profile\": \"coder\", \"reason\": \"x\"} if false\n")
	for what, args := range map[string][]string{
		"a builtin":       {"policy", "test", filepath.Join(dir, "rules")},
		"a blocked write": {"schema", "input"},
	} {
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
			t.Run(fmt.Sprintf("%s, %s", what, signal), func(t *testing.T) {
				for start := 700 * time.Millisecond; ; start *= 2 { // a busy machine may need longer until the program listens
					out, errs := tempFile(t), tempFile(t)
					if what == "a blocked write" {
						out = fullPipe(t)
					}
					cmd := started(t, out, errs, args...)
					time.Sleep(start)
					if err := cmd.Process.Signal(signal); err != nil {
						t.Fatal(err)
					}
					code, text := ended(t, cmd), textOf(t, errs)
					if code == -1 && text == "" && start < 10*time.Second {
						continue
					}
					if code != cli.ExitProfile {
						t.Errorf("exit status %d", code)
					}
					if strings.Contains(text, "goroutine") || !strings.Contains(text, "ended by a signal") {
						t.Errorf("standard error is %.500q", text)
					}
					return
				}
			})
		}
	}
	t.Run("twice", func(t *testing.T) {
		cmd := started(t, tempFile(t), tempFile(t), "policy", "test", filepath.Join(dir, "rules"))
		time.Sleep(time.Second)
		for range 2 {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			time.Sleep(50 * time.Millisecond)
		}
		if code := ended(t, cmd); code != -1 && code != cli.ExitProfile { // the first may have ended it
			t.Errorf("exit status %d, want the end by a signal", code)
		}
	})
}

// A boot that a signal ends has done its work, or says that it has not. Its processes end
// with it.
func TestBootEndedByASignal(t *testing.T) {
	for delay := 0; delay <= 120; delay += 10 {
		t.Run(fmt.Sprintf("after %d ms", delay), func(t *testing.T) {
			dir := bootHome(t)
			errs := tempFile(t)
			cmd := started(t, tempFile(t), errs, "boot")
			time.Sleep(time.Duration(delay) * time.Millisecond)
			_ = cmd.Process.Signal(syscall.SIGTERM)
			code := ended(t, cmd)
			ledger, _ := os.ReadFile(filepath.Join(dir, "home/logs/container-boot.jsonl"))
			_, err := os.Stat(filepath.Join(dir, "scan/gateway-coder/run"))
			done := err == nil && bytes.Contains(ledger, []byte(`"started"`))
			said := strings.Contains(textOf(t, errs), "ended by a signal")
			if code == cli.ExitDone && !done || code == cli.ExitProfile && !said || code > cli.ExitProfile {
				t.Errorf("exit status %d, done %t: %s", code, done, textOf(t, errs))
			}
		})
	}
}

// The children of a boot that a signal ends end with it.
func TestNoChildOutlivesASignal(t *testing.T) {
	dir := bootHome(t)
	plugins, begun := filepath.Join(dir, "facts.d"), filepath.Join(dir, "shared/begun")
	hometest.Put(t, dir, "shared/", "")
	hometest.Put(t, plugins, "slow", "#!/bin/sh\n: > "+begun+"\nexec sleep 1000\n")
	for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o755, filepath.Join(dir, "shared"): 0o777, plugins: 0o755, filepath.Join(plugins, "slow"): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"TIMEOUT", "SOURCE_TIMEOUT", "EXTERNAL_TIMEOUT"} {
		t.Setenv("HERMES_RECONCILE_FACTS__"+key, "20s")
	}
	t.Setenv("HERMES_RECONCILE_FACTS__DIR", plugins)
	cmd := started(t, tempFile(t), tempFile(t), "boot")
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(begun); err == nil {
			break
		} else if time.Since(began) > soon {
			t.Fatal("the plug-in does not run")
		}
	}
	children := childrenOf(t, cmd.Process.Pid)
	if len(children) == 0 {
		t.Fatal("the boot has no child")
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if code := ended(t, cmd); code != cli.ExitProfile {
		t.Errorf("exit status %d", code)
	}
	for _, pid := range children {
		for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err != nil || bytes.Contains(state, []byte(") Z ")) {
				break
			}
			if time.Since(began) > soon {
				t.Errorf("%s lives on", state)
				break
			}
		}
	}
}

// childrenOf returns the children of a process.
func childrenOf(t *testing.T, pid int) (children []int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for _, word := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			children = append(children, child)
		}
	}
	return children
}
