package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
)

// A pause stops what is up, and resume brings up what was up and nothing else. No intent
// changes, and no boot, apply or start meanwhile ends the pause.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running", "byhand=running", "writer=stopped", "mute=stopped")
	l.untilNow("coder", policy.NowUp)
	l.untilNow("byhand", policy.NowUp)
	l.tool("s6-svc", "-d", "byhand") // down by hand, although it is to run
	l.untilNow("byhand", policy.NowDown)
	if err := os.Remove(filepath.Join(l.base, "home/profiles/mute/gateway_state.json")); err != nil {
		t.Fatal(err)
	}
	l.tool("s6-svc", "-u", "mute") // up without an intent
	l.untilNow("mute", policy.NowUp)
	intents := func() (all string) {
		for _, name := range []string{"coder", "byhand", "writer"} {
			all += l.read("home/profiles/" + name + "/gateway_state.json")
		}
		return all
	}
	recorded := intents()

	text := l.want(cli.ExitDone, "coder: paused", "pause --all --reason", "a backup")
	for _, words := range []string{"byhand: paused, and was down", "writer: paused, and was down", "mute: paused"} {
		if !strings.Contains(text, words) {
			t.Errorf("no %q in:\n%s", words, text)
		}
	}
	for name, p := range l.status().Profiles {
		if p.Now != policy.NowDown || p.Code != "paused" {
			t.Errorf("%s is %s, %s", name, p.Now, p.Code)
		}
	}
	l.want(cli.ExitDone, "Nothing to do.", "apply")
	l.want(cli.ExitDone, "(a backup)", "explain coder")
	l.want(cli.ExitDone, "pause", "events coder")
	for _, command := range []string{"start coder", "start coder --override", "release coder", "restart coder"} {
		l.want(cli.ExitProfile, "end the pause with: hermes-reconcile resume coder", command)
	}
	l.want(cli.ExitDone, "Nothing to do.", "release --all")
	l.want(cli.ExitDone, "profile=coder prior_state=running action=registered", "boot")
	l.write("home/profiles/late/SOUL.md", "", 0o644)
	l.write("home/profiles/late/gateway_state.json", `{"desired_state":"running"}`, 0o644)
	l.want(cli.ExitDone, "late: registered, down: root paused it", "register late")

	l.want(cli.ExitDone, "coder: resumed, up", "resume coder")
	l.want(cli.ExitDone, "Nothing to do.", "apply")
	l.want(cli.ExitDone, "coder: not paused", "resume coder")
	text = l.want(cli.ExitDone, "byhand: resumed, and down: it was down before it was paused", "resume --all")
	for _, words := range []string{"writer: resumed, and down: no rule starts it", "mute: resumed, up", "late: resumed, up"} {
		if !strings.Contains(text, words) {
			t.Errorf("no %q in:\n%s", words, text)
		}
	}
	if intents() != recorded {
		t.Errorf("the intents were\n%s\nand are\n%s", recorded, intents())
	}
	l.want(cli.ExitDone, "Nothing to do.", "resume --all")
}

// A pause with a time ends by itself, at the next look.
func TestPauseUntil(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	l.untilNow("coder", policy.NowUp)
	l.want(cli.ExitUsage, "want a time such as 07:00", "pause coder --until someday")
	l.want(cli.ExitUsage, "is over", "pause coder --until", "2020-01-01 07:00")
	l.want(cli.ExitDone, "coder: paused", "pause coder --until 1h")
	if p := l.status().Profiles["coder"]; p.Code != "paused" || p.Now != policy.NowDown {
		t.Errorf("coder: %+v", p)
	}
	l.want(cli.ExitDone, "coder: paused, and was down", "pause coder --until 5s")
	l.until("the pause is over", func(d *status.Document) bool { return d.Profiles["coder"].Code == "prior_intent" })
	l.want(cli.ExitDone, "bring-up  coder", "apply")
}

// The watch ends a pause at its second: what was up comes up, and what was down by hand stays
// down. However many gateways a pause stops, the watch lets it.
func TestTheWatchEndsAPause(t *testing.T) {
	s6test.WantRoot(t)
	t.Parallel()
	l := startLiveAs(t, agent, "a=running", "b=running", "c=running", "byhand=running")
	l.configure(agent, agent)
	on := []string{withoutService + "=true", "HERMES_RECONCILE_S6__PROGRAM=" + filepath.Join(l.base, "program")}
	l.write("program", fmt.Sprintf("#!/bin/sh\nexport %s\nexec %s \"$@\"\n", strings.Join(on, " "), l.program()), 0o755)
	says := func(uid int, command string, code int, words string) {
		t.Helper()
		if got, text := l.as(uid, command, on...); got != code || !strings.Contains(text, words) {
			t.Errorf("uid %d, %s: exit %d, want %d with %q:\n%s", uid, command, got, code, words, text)
		}
	}
	says(0, "boot --rescan now", cli.ExitDone, "profile=a")
	for _, name := range []string{"a", "b", "c", "byhand"} {
		l.untilNow(name, policy.NowUp)
	}
	s6test.Must(t, exec.Command("s6-svc", "-wd", "-d", filepath.Join(l.base, "scan/gateway-byhand")).Run())
	says(agent, "pause --all", cli.ExitProfile, "only root pauses and resumes")
	says(0, "pause --all --until 1h", cli.ExitDone, "c: paused")
	for _, name := range []string{"a", "b", "c", "byhand"} {
		l.untilNow(name, policy.NowDown)
	}
	says(0, "pause --all --until 2s", cli.ExitDone, "c: paused, and was down")
	for _, name := range []string{"a", "b", "c"} {
		l.untilNow(name, policy.NowUp)
	}
	says(0, "events a", cli.ExitDone, "time")
	if p := l.status().Profiles["byhand"]; p.Now != policy.NowDown {
		t.Errorf("byhand is %s", p.Now)
	}
	if err := os.Remove(filepath.Join(l.stateDir(), policy.PausesFile)); err != nil {
		t.Fatal(err)
	}
	says(0, "pause a", cli.ExitDone, "a: paused")
	says(0, "resume a", cli.ExitDone, "a: resumed, up")
}
