package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
)

// steps writes operations as sorted lines "publish coder".
func steps(operations []policy.Operation) []string {
	var lines []string
	for _, op := range operations {
		lines = append(lines, strings.TrimSpace(string(op.Op)+" "+op.Profile+" "+op.File))
	}
	slices.Sort(lines)
	return lines
}

// recorded returns the lines that the newest pass wrote to the ledger of a home.
func recorded(t *testing.T, home string) []ledger.Line {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(home, "logs", ledger.Name))
	s6test.Must(t, err)
	var lines []ledger.Line
	for one := range strings.Lines(string(text)) {
		var l ledger.Line
		s6test.Must(t, json.Unmarshal([]byte(one), &l))
		if l.Profile == "" {
			lines = nil
		}
		lines = append(lines, l)
	}
	return lines
}

// recordedSteps returns the operations that the newest pass recorded, as steps has them.
func recordedSteps(t *testing.T, home string) []string {
	t.Helper()
	var operations []policy.Operation
	for _, l := range recorded(t, home) {
		for _, op := range l.Operations {
			operations = append(operations, policy.Operation{Op: op.Op, Profile: l.Profile, File: op.File})
		}
	}
	return steps(operations)
}

// eval shows the rescan that a boot would request.
func TestTheScanOfABootIsShown(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	l.write("home/profiles/late/SOUL.md", "", 0o644)
	l.configure(os.Getuid(), os.Getgid(), "boot: {rescan: now}")
	code, text := l.call("eval --dry-run --detailed-exitcode")
	if code != cli.ExitChanges || !strings.Contains(text, "~ rescan") {
		t.Errorf("exit status %d, want %d with a rescan:\n%s", code, cli.ExitChanges, text)
	}
	var shown policy.Decisions
	s6test.Must(t, json.Unmarshal(output(t, append([]string{"eval", "--dry-run", "-o", "json"}, l.places...)...), &shown))
	l.want(cli.ExitDone, "", "boot")
	if want, got := steps(shown.Plan), recordedSteps(t, filepath.Join(l.base, "home")); !slices.Equal(got, want) {
		t.Errorf("shown %v, done %v", want, got)
	}
}

// The ledger records the alarms that a command on a running container prints.
func TestAlarmsOfApplyAreRecorded(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	l.write("home/profiles/writer/SOUL.md", "", 0o644)
	l.write("home/profiles/late/SOUL.md", "", 0o644)
	l.write("scan/gateway-writer/run", "#!/bin/sh\n", 0o755)
	_, text := l.call("apply -o json")
	if !strings.Contains(text, `"slot_foreign"`) {
		t.Fatalf("apply prints no alarm about the foreign slot:\n%s", text)
	}
	lines := recorded(t, filepath.Join(l.base, "home"))
	if len(lines) == 0 || lines[0].Command != "apply" || !slices.ContainsFunc(lines[0].Alarms, func(a policy.Alarm) bool { return a.Code == "slot_foreign" }) {
		t.Errorf("the ledger has %+v", lines)
	}
}

// A boot collects its facts under the lock, so it sees what another command changed while
// the boot waited.
func TestBootLooksUnderTheLock(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=stopped")
	lock := flock.New(filepath.Join(l.base, "scan", ".hermes-reconcile.lock"), flock.SetFlag(os.O_RDONLY))
	s6test.Must(t, lock.Lock())
	done := make(chan string)
	go func() {
		_, text := l.call("boot")
		done <- text
	}()
	time.Sleep(500 * time.Millisecond) // long enough to have looked
	l.write("home/profiles/coder/gateway_state.json", `{"desired_state":"running"}`, 0o644)
	s6test.Must(t, lock.Unlock())
	if text := <-done; !strings.Contains(text, "profile=coder prior_state=running action=started") {
		t.Errorf("the boot prints\n%s", text)
	}
}

// as runs the program as another user.
func (l *liveScan) as(uid int, words string, environ ...string) (code int, text string) {
	l.t.Helper()
	s6test.OpenToOthers(l.t, l.base)
	cmd := exec.CommandContext(l.t.Context(), l.program(), append(strings.Fields(words), l.places...)...)
	cmd.Env, cmd.Dir = append(os.Environ(), environ...), "/"
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := s6test.As(uid, cmd).Run()
	if cmd.ProcessState == nil {
		l.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// A command of the unprivileged user reports an unknown profile without a volume, and does
// not treat an unknown user as root.
func TestCommandsOfTheUnprivilegedUser(t *testing.T) {
	s6test.WantRoot(t)
	t.Parallel()
	l := startLive(t, "coder=running")
	l.configure(10000, 10000)
	l.places = append(l.places, "--home", filepath.Join(l.base, "missing"))
	if code, text := l.as(10000, "stop nobody"); code != cli.ExitProfile || strings.Contains(text, "panic") || !strings.Contains(text, "whether it exists is not known") {
		t.Errorf("stop without a home: exit status %d\n%s", code, text)
	}
	l.places = l.places[:len(l.places)-2]
	if code, text := l.as(10000, "apply", "HERMES_RECONCILE_USER=typo"); code != cli.ExitUsage || !strings.Contains(text, `there is no user "typo" here`) {
		t.Errorf("apply with an unknown user: exit status %d\n%s", code, text)
	}
	if code, text := l.as(10000, "eval --dry-run", "HERMES_RECONCILE_USER=typo"); code != cli.ExitDone || !strings.Contains(text, "looking as 10000:10000") {
		t.Errorf("eval with an unknown user: exit status %d\n%s", code, text)
	}
}

// A user may stop a slot that root has just made only when it has a supervisor. The message
// says so, and the intent counts.
func TestStopOfANewSlotByTheUser(t *testing.T) {
	s6test.WantRoot(t)
	t.Parallel()
	l := startLive(t, "coder=stopped")
	l.configure(10000, 10000)
	l.write("home/profiles/kids/SOUL.md", "", 0o644)
	l.write("home/profiles/kids/gateway_state.json", `{"desired_state":"running"}`, 0o644)
	for _, name := range []string{"home", "home/profiles", "home/profiles/kids", "home/profiles/kids/gateway_state.json"} {
		s6test.Must(t, os.Chown(filepath.Join(l.base, name), 10000, 10000))
	}
	l.apart = true
	s6test.OpenToOthers(t, l.base)
	l.want(cli.ExitDone, "profile=kids prior_state=running action=started", "boot")
	code, text := l.as(10000, "stop kids")
	if code != cli.ExitProfile || !strings.Contains(text, "s6-svscan has not given it a supervisor yet, and until then only root can change it") ||
		!strings.Contains(text, "the intent is recorded: the next apply or boot keeps it down") {
		t.Errorf("stop kids: exit status %d\n%s", code, text)
	}
	if text := l.read("home/profiles/kids/gateway_state.json"); !strings.Contains(text, `"desired_state":"stopped"`) {
		t.Errorf("the intent is not recorded: %s", text)
	}
}

// A plan that restarts a gateway fits the schema of the decision document.
func TestPlanOfARestartFitsItsSchema(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	l.untilNow("coder", policy.NowUp)
	env := l.policy("package reconcile.rules.verbose\n\nenv contains {\"profile\": \"coder\", \"name\": \"VERBOSE\", \"value\": \"1\", \"reason\": \"x\"} if input.phase\n")
	text := output(t, slices.Concat([]string{"apply", "--dry-run", "--restart-changed", "-o", "json"}, env, l.places)...)
	fits(t, compileSchema(t, []byte(policy.DecisionSchema)), text)
	if !bytes.Contains(text, []byte(`"then_up": true`)) {
		t.Errorf("the plan restarts nothing:\n%s", text)
	}
}
