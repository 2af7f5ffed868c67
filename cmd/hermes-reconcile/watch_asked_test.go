package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
)

// The service of a boot answers at its socket as long as it runs, and status, its check and
// doctor know whether it does.
func TestAskingTheWatch(t *testing.T) {
	s6test.WantRoot(t)
	t.Parallel()
	l := startLiveAs(t, agent, "coder=running", "writer=stopped")
	l.untilNow("coder", policy.NowUp)
	socket, program := filepath.Join(l.runDir(), "s"), filepath.Join(l.base, "program")
	l.configure(agent, agent, "watch: {listen: "+socket+"}", "log_level: debug")
	on := []string{withoutService + "=true", "HERMES_RECONCILE_S6__PROGRAM=" + program}
	l.write("program", fmt.Sprintf("#!/bin/sh\nexport %s\nexec %s \"$@\"\n", strings.Join(on, " "), l.program()), 0o755)
	want := func(uid, code int, words, command string) {
		t.Helper()
		if got, text := l.as(uid, command, on...); got != code || !strings.Contains(text, words) || words == "" && text != "" {
			t.Errorf("uid %d, %s: exit %d, want %d with %q:\n%s", uid, command, got, code, words, text)
		}
	}
	ask := func(path string) (int, string) {
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}}
		answer, err := c.Get("http://watch" + path)
		if err != nil {
			return 0, err.Error()
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		s6test.Must(t, err)
		return answer.StatusCode, string(text)
	}

	want(0, cli.ExitDone, "WATCH   no service\n", "status")
	want(0, cli.ExitDone, "profile=coder", "boot --rescan now")
	s6test.Until(t, "the service is ready", func() bool {
		code, _ := ask("/readyz")
		return code == http.StatusOK
	})
	if code, text := ask("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d %s", code, text)
	}
	_, text := ask("/metrics")
	for _, want := range []string{
		`hermes_reconcile_profile_up{profile="coder"} 1`, `hermes_reconcile_profile_wanted{profile="writer"} 0`,
		`hermes_reconcile_watch_passes_total{result="failed"} 0`, `hermes_reconcile_watch_triggers_total{kind="started"} 1`, "hermes_reconcile_watch_running 1",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if code, text := ask("/"); code != http.StatusOK || !strings.Contains(text, "<b>coder</b>") || !strings.Contains(text, "<b>writer</b>") || !strings.Contains(text, "Nothing needs attention") {
		t.Errorf("/: %d %s", code, text)
	}
	for _, uid := range []int{0, agent} {
		want(uid, cli.ExitDone, "\nWATCH   looked ", "status")
		want(uid, cli.ExitDone, "", "status --check")
	}

	s6test.Must(t, exec.Command("s6-svc", "-wD", "-d", filepath.Join(l.base, "scan", policy.WatchSlot)).Run())
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its socket is left: %v", err)
	}
	want(0, cli.ExitDone, "\nWATCH   down, looked ", "status")
	want(0, cli.ExitDone, "", "status --check")
	longAgo := time.Now().Add(-time.Hour)
	s6test.Must(t, os.Chtimes(filepath.Join(l.runDir(), watch.StateFile), longAgo, longAgo))
	const problem = "the service hermes-reconcile does not run: down, has not looked for 60 min"
	want(0, cli.ExitProfile, problem+"\n", "status --check")
	want(0, cli.ExitProfile, "watch_not_running  "+problem, "doctor")
	want(agent, cli.ExitProfile, "has not looked for 60 min\n", "status --check")
}

// A pass that would stop too many gateways stops none, until an operator accepts it.
func TestAcceptOfTheWatch(t *testing.T) {
	s6test.WantRoot(t)
	t.Parallel()
	names := []string{"a", "b", "c"}
	l := startLiveAs(t, agent, "a=running", "b=running", "c=running")
	l.configure(agent, agent)
	on := []string{withoutService + "=true", "HERMES_RECONCILE_S6__PROGRAM=" + filepath.Join(l.base, "program")}
	l.write("program", fmt.Sprintf("#!/bin/sh\nexport %s\nexec %s \"$@\"\n", strings.Join(on, " "), l.program()), 0o755)
	says := func(command string, code int, words string) {
		t.Helper()
		if got, text := l.as(0, command, on...); got != code || !strings.Contains(text, words) {
			t.Errorf("%s: exit %d, want %d with %q:\n%s", command, got, code, words, text)
		}
	}
	says("watch --accept", cli.ExitProfile, "no watch runs")
	says("boot --rescan now", cli.ExitDone, "profile=a")
	for _, name := range names {
		l.untilNow(name, policy.NowUp)
	}
	says("watch --accept", cli.ExitDone, "no stop waits to be accepted")
	for _, name := range names {
		l.write("home/profiles/"+name+"/gateway_state.json", `{"desired_state":"stopped"}`, 0o644)
	}
	s6test.Until(t, "the watch asks", func() bool {
		s, err := watch.ReadState(l.runDir())
		return err == nil && len(s.Blocked) == len(names)
	})
	says("status", cli.ExitDone, "3 of 3 gateways would be stopped, more than 2 (watch.max_stops)")
	for _, name := range names {
		l.untilNow(name, policy.NowUp)
	}
	says("watch --accept", cli.ExitDone, "asked to stop: a, b, c\n")
	for _, name := range names {
		l.untilNow(name, policy.NowDown)
	}
	says("watch --accept", cli.ExitDone, "no stop waits to be accepted")
}
