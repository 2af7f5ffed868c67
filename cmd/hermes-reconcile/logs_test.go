package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/s6/s6test"
)

// With s6.stderr: log a gateway's standard error is in its log, from its next start on.
func TestStandardErrorIsInTheLog(t *testing.T) {
	t.Setenv("HERMES_RECONCILE_S6__STDERR", "container")
	l := startLive(t, "coder=running")
	l.restartAs("echo to-err >&2\necho to-out\nexec sleep 1000000\n")
	log := func(n string) string { _, text := l.call("logs coder -n " + n); return text }
	s6test.Until(t, "the log has to-out", func() bool { return strings.HasSuffix(log("1"), "  to-out\n") })
	if text := log("9"); strings.Contains(text, "to-err") {
		t.Errorf("s6.stderr: container: the log is\n%s", text)
	}
	before := l.status().Profiles["coder"].PID
	t.Setenv("HERMES_RECONCILE_S6__STDERR", "log")
	l.want(cli.ExitDone, "update", "apply")
	if now := l.status().Profiles["coder"]; now.PID != before || !now.Changed {
		t.Errorf("after apply: %+v, want pid %d and a changed script", now, before)
	}
	l.want(cli.ExitDone, "restarted, pid ", "restart coder --up-for 0s")
	s6test.Until(t, "the log has both", func() bool {
		text := log("2")
		return strings.Contains(text, "  to-err\n") && strings.HasSuffix(text, "  to-out\n")
	})
}

// restartAs gives all gateways another script. One that starts meanwhile runs the old script
// or the new one, and no half of it.
func (l *liveScan) restartAs(script string) {
	l.t.Helper()
	l.write("gateway.new", "#!/bin/sh\n"+script, 0o755)
	s6test.Must(l.t, os.Rename(filepath.Join(l.base, "gateway.new"), filepath.Join(l.base, "gateway")))
	// A gateway that is not up yet would not be restarted.
	l.until("all gateways are up", func(d *status.Document) bool {
		for _, p := range d.Profiles {
			if p.Wanted == "up" && p.Now != "up" {
				return false
			}
		}
		return true
	})
	l.want(cli.ExitDone, "restarted, pid ", "restart --all --up-for 0s")
}

// startTalking starts gateways that print what is added to the file say.
func startTalking(t *testing.T, profiles ...string) (l *liveScan, say func(text string)) {
	t.Helper()
	l = startLive(t, profiles...)
	l.write("say", "", 0o644)
	l.restartAs("exec tail -n +1 -f " + filepath.Join(l.base, "say") + "\n")
	return l, func(text string) {
		t.Helper()
		file, err := os.OpenFile(filepath.Join(l.base, "say"), os.O_APPEND|os.O_WRONLY, 0)
		s6test.Must(t, err)
		_, err = file.WriteString(text + "\n")
		s6test.Must(t, err)
		s6test.Must(t, file.Close())
	}
}

// logs -f prints each line once, also when s6-log rotates the log meanwhile, and ends with a
// signal.
func TestLogsFollow(t *testing.T) {
	t.Setenv("TZ", "Asia/Tokyo") // of the logger too
	l, say := startTalking(t, "coder=running")
	out, errs := tempFile(t), tempFile(t)
	say("0")
	s6test.Until(t, "the log has a line", func() bool { _, text := l.call("logs coder"); return strings.HasSuffix(text, "  0\n") })
	cmd := started(t, out, errs, append([]string{"logs", "coder", "-f", "-n", "1"}, l.places...)...)
	for i := range 4 {
		s6test.Until(t, fmt.Sprintf("logs prints line %d", i), func() bool { return strings.HasSuffix(textOf(t, out), fmt.Sprintf("  %d\n", i)) })
		if i%2 == 1 {
			l.tool("s6-svc", "-a", "coder/log") // s6-log rotates
		}
		say(fmt.Sprint(i + 1))
	}
	s6test.Until(t, "logs prints the last line", func() bool { return strings.HasSuffix(textOf(t, out), "  4\n") })
	if rotated, err := filepath.Glob(filepath.Join(l.base, "home/logs/gateways/coder/@*.s")); err != nil || len(rotated) == 0 {
		t.Errorf("nothing was rotated: %v", err)
	}
	s6test.Must(t, cmd.Process.Signal(syscall.SIGTERM))
	if code := ended(t, cmd); code != cli.ExitDone {
		t.Errorf("exit status %d after a signal, want %d: %s", code, cli.ExitDone, textOf(t, errs))
	}
	var printed []string
	for line := range strings.Lines(textOf(t, out)) {
		stamp, text, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if at, err := time.Parse(time.RFC3339, stamp); err != nil || time.Since(at).Abs() > time.Hour || !strings.HasSuffix(stamp, "+09:00") {
			t.Errorf("%q does not begin with a time in Tokyo: %v", line, err)
		}
		printed = append(printed, text)
	}
	if got := strings.Join(printed, " "); got != "0 1 2 3 4" {
		t.Errorf("printed: %s", got)
	}
	if _, text := l.call("logs coder"); strings.Count(text, "\n") != 5 {
		t.Errorf("with the rotated files:\n%s", text)
	}
}

// The logs of several profiles are merged by time. A planted file is refused, and a log that
// is missing says where it would be.
func TestLogsOfSeveral(t *testing.T) {
	t.Parallel()
	l, say := startTalking(t, "coder=running", "writer-2=running")
	say("a\tb\x1b[2J")
	text := ""
	if !s6test.Poll(func() bool {
		_, text = l.call("logs coder writer-2")
		return strings.Count(text, "a\tb\\u001b[2J\n") == 2
	}) {
		t.Fatalf("both logs do not have one line: %s%+v", text, l.status().Profiles)
	}
	text = l.want(cli.ExitDone, "", "logs writer-2 coder --since 1h")
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "coder             20") && !strings.HasPrefix(line, "writer-2          20") {
			t.Errorf("the line %q begins with no profile", line)
		}
	}
	l.want(cli.ExitDone, `{"schema_version":1,"profile":"coder","time":"20`, "logs coder -o json")
	l.want(cli.ExitUsage, `no such profile "codr", did you mean "coder"?`, "logs codr")
	l.want(cli.ExitUsage, "which profile? Give names", "logs")
	l.want(cli.ExitUsage, "--since is \"soon\", want a duration such as 2h", "logs coder --since soon")
	l.want(cli.ExitUsage, "-n is 0, want 1 to 100000 lines", "logs coder -n 0")

	l.write("home/profiles/kids/SOUL.md", "", 0o644)
	missing := filepath.Join(l.base, "home/logs/gateways/kids/current")
	l.want(cli.ExitProfile, "the log of kids: open logs/gateways/kids/current: no such file or directory: no supervisor has served the slot on this volume", "logs kids coder")
	l.write("home/logs/gateways/kids/current", "", 0o644)
	l.want(cli.ExitDone, "the gateway never started, or printed nothing", "logs kids")
	s6test.Must(t, os.Remove(missing))
	l.write("secret", "secret\n", 0o600)
	s6test.Must(t, os.Symlink(filepath.Join(l.base, "secret"), missing))
	if text := l.want(cli.ExitProfile, "logs/gateways/kids/current: not a regular file", "logs kids"); strings.Contains(text, "secret") {
		t.Errorf("logs printed %s", text)
	}
	s6test.Must(t, os.Remove(missing))
	s6test.Must(t, unix.Mkfifo(missing, 0o666))
	l.want(cli.ExitProfile, "logs/gateways/kids/current: not a regular file", "logs kids")
}
