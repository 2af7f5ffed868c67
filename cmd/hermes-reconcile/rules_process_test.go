package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/engine/hometest"
)

// hugeNumber multiplies for longer than any limit, with a number that the agent wrote.
const hugeNumber = `package reconcile.rules.huge

hold contains {"profile": name, "reason": "x"} if {
	some name, profile in input.profiles
	n := bits.lsh(1, profile.lifecycle.exit_code) - 1
	n * n == 3
}
`

// hugeHome has two profiles that ran, a rule that holds one of them, and another rule.
func hugeHome(t *testing.T, rule string) string {
	return homeWith(t, map[string]string{
		"home/profiles/coder/SOUL.md":             "",
		"home/profiles/coder/gateway_state.json":  `{"desired_state": "running", "gateway_state": "running"}`,
		"home/profiles/writer/SOUL.md":            "",
		"home/profiles/writer/gateway_state.json": `{"desired_state": "running", "gateway_state": "running"}`,
		"policy/mine.rego":                        "package reconcile.rules.mine\n\nhold contains {\"profile\": \"writer\", \"reason\": \"mine\"} if input.profiles.writer\n",
		"policy/other.rego":                       rule,
	})
}

// program starts this program on the home of a directory.
func programOn(t *testing.T, dir string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Args = append([]string{"hermes-reconcile"}, args...)
	cmd.Env = append(os.Environ(), "HERMES_RECONCILE_POLICY="+dir+"/policy")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &out
}

// left returns the processes that were started for a directory and still run.
func left(t *testing.T, dir string) (found []string) {
	t.Helper()
	for range 50 { // a killed process takes a moment to end
		found = nil
		environments, err := filepath.Glob("/proc/[0-9]*/environ")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range environments {
			text, err := os.ReadFile(path)
			if err == nil && bytes.Contains(text, []byte("HERMES_HOME="+dir+"/home\x00")) && path != fmt.Sprintf("/proc/%d/environ", os.Getpid()) {
				found = append(found, path)
			}
		}
		if len(found) == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return found
}

// A rule that nothing ends, or rules that nothing compiles, cost themselves: the other rules
// decide, the slots are made by the deadline, and no process is left.
func TestABootWithRulesThatNothingEnds(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to see the environment of processes that nobody may trace")
	}
	var literal strings.Builder
	literal.WriteString("table := [")
	for i := range 250_000 { // a file of rules has at most 1 MiB
		fmt.Fprintf(&literal, "[%d],", i%10)
	}
	literal.WriteString("]\n")
	for _, test := range []struct{ why, rule, says, slots string }{
		{"time", strings.Replace(hugeNumber, "profile.lifecycle.exit_code", "100000000", 1), "reconcile.rules.huge: not done after 500ms, was killed", "coder=up default=down writer=down"},
		{"memory", strings.Replace(hugeNumber, "profile.lifecycle.exit_code", "10000000000", 1), "reconcile.rules.huge: needs more than 128 MiB of memory, was killed", "coder=up default=down writer=down"},
		{"compilation", "package reconcile.rules.slow\n\n" + literal.String(), "compile the present rules: ", "coder=up default=down writer=up"},
	} {
		t.Run(test.why, func(t *testing.T) {
			dir := hugeHome(t, test.rule)
			for n := range 5 {
				if test.why == "compilation" {
					hometest.Put(t, dir, fmt.Sprintf("policy/slow%d.rego", n), fmt.Sprintf("package reconcile.rules.slow%d\n\n%s", n, literal.String()))
				}
			}
			t.Setenv("HERMES_RECONCILE_POLICY_TIMEOUT", "500ms")
			t.Setenv("HERMES_RECONCILE_POLICY_MEMORY", "128MiB")
			t.Setenv("HERMES_RECONCILE_ON_RULE_ERROR", "ignore")
			begin := time.Now()
			cmd, out := programOn(t, dir, "boot", "--strict", "--deadline", "4s")
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != cli.ExitPolicy || !strings.Contains(out.String(), test.says) {
				t.Errorf("exit status %d, want %d with %q:\n%s", code, cli.ExitPolicy, test.says, out)
			}
			if took := time.Since(begin); took > 4*time.Second {
				t.Errorf("it took %s", took)
			}
			var slots []string
			for _, name := range []string{"coder", "default", "writer"} {
				state := "up"
				if _, err := os.Stat(filepath.Join(dir, "scan/gateway-"+name)); err != nil {
					state = "missing"
				} else if _, err := os.Stat(filepath.Join(dir, "scan/gateway-"+name+"/down")); err == nil {
					state = "down"
				}
				slots = append(slots, name+"="+state)
			}
			if got := strings.Join(slots, " "); got != test.slots {
				t.Errorf("the slots are %s, want %s:\n%s", got, test.slots, out)
			}
			if found := left(t, dir); len(found) > 0 {
				t.Errorf("processes are left: %v", found)
			}
		})
	}
}

// SIGTERM ends the program while a rule runs that nothing ends.
func TestSIGTERMWhileARuleRuns(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to see the environment of processes that nobody may trace")
	}
	for _, command := range []string{"boot", "eval", "apply"} {
		t.Run(command, func(t *testing.T) {
			dir := hugeHome(t, strings.Replace(hugeNumber, "profile.lifecycle.exit_code", "100000000", 1))
			if err := os.Mkdir(filepath.Join(dir, "scan"), 0o755); err != nil {
				t.Fatal(err)
			}
			t.Setenv("HERMES_RECONCILE_POLICY_TIMEOUT", "1m")
			cmd, out := programOn(t, dir, command)
			time.Sleep(700 * time.Millisecond)
			begin := time.Now()
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if took := time.Since(begin); took > time.Second {
				t.Errorf("it ended after %s:\n%s", took, out)
			}
			if found := left(t, dir); len(found) > 0 {
				t.Errorf("processes are left: %v", found)
			}
			t.Logf("%v\n%s", cmd.ProcessState, out)
		})
	}
}

// explain evaluates in the process for the rules, too.
func TestExplainWithARuleThatNothingEnds(t *testing.T) {
	dir := hugeHome(t, strings.Replace(hugeNumber, "profile.lifecycle.exit_code", "10000000000", 1))
	t.Setenv("HERMES_RECONCILE_POLICY_TIMEOUT", "500ms")
	cmd, out := programOn(t, dir, "explain", "coder")
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitPolicy || !strings.Contains(out.String(), "needs more than 256 MiB of memory, was killed") {
		t.Errorf("exit status %d, want %d with the reason:\n%s", code, cli.ExitPolicy, out)
	}
}
