package main

import (
	"fmt"
	"strings"
	"testing"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/policy"
)

// A dry run of a command shows what the command would do, and changes nothing.
func TestDryRunsTouchNothing(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running", "writer=stopped")
	pid := l.untilNow("coder", policy.NowUp).Profiles["coder"].PID
	night := l.policy("package reconcile.rules.night\n\nhold contains {\"profile\": \"writer\", \"code\": \"night\", \"reason\": \"it is night\"} if true\n")
	recorded := l.read("home/profiles/coder/gateway_state.json") + l.read("home/profiles/writer/gateway_state.json")
	l.write("home/profiles/kids/SOUL.md", "", 0o644)
	for _, c := range []struct {
		code           int
		words, command string
	}{
		{cli.ExitChanges, "~ bring-down  coder  gateway-coder  # asked for", "stop coder"},
		{cli.ExitChanges, `the intent "stopped" would be recorded`, "stop --all"},
		{cli.ExitDone, "Plan: nothing to do.", "stop writer"},
		{cli.ExitChanges, "- remove  coder  gateway-coder", "unregister coder"},
		{cli.ExitChanges, "~ bring-up    coder", "restart coder"},
		{cli.ExitDone, "Plan: nothing to do.", "start coder --up-for 0s"},
		{cli.ExitProfile, "FAILED  writer: it is held: it is night", "start writer"},
		{cli.ExitChanges, "~ bring-up  writer", "start writer --override"},
		{cli.ExitChanges, "the hold of reconcile.rules.night (night) is set aside", "release writer"},
		{cli.ExitChanges, "+ publish  kids", "register kids"},
		{cli.ExitDone, "coder: has its slot", "register coder"},
		{cli.ExitChanges, "~ bring-down  coder", "pause --all"},
		{cli.ExitDone, "coder: not paused", "resume coder"},
		{cli.ExitChanges, "+ publish  kids", "apply"},
		{cli.ExitDone, "Plan: nothing to do.", "apply coder"},
		{cli.ExitProfile, "no such profile", "stop codr"},
	} {
		l.want(c.code, c.words, c.command+" --dry-run --detailed-exitcode", night...)
		if c.code == cli.ExitChanges {
			l.want(cli.ExitDone, c.words, c.command+" --dry-run", night...)
		}
	}
	l.want(cli.ExitUsage, "--detailed-exitcode goes with --dry-run", "stop coder --detailed-exitcode")
	if text := l.want(cli.ExitDone, `"dry_run": true`, "stop coder --dry-run -o json"); !strings.Contains(text, `"done": false`) {
		t.Errorf("it is done: %s", text)
	}
	d := l.status()
	if d.Profiles["coder"].PID != pid || d.Profiles["writer"].Now != policy.NowDown || d.Profiles["kids"].Slot != "" {
		t.Errorf("something changed: %+v", d.Profiles)
	}
	if now := l.read("home/profiles/coder/gateway_state.json") + l.read("home/profiles/writer/gateway_state.json"); now != recorded {
		t.Errorf("the intents were\n%s\nand are\n%s", recorded, now)
	}
	l.want(cli.ExitProfile, "it is held: it is night", "start writer", night...)
}

// A plan says what changes in a slot, and --diff shows the lines, without a secret.
func TestPlansSayWhatChanges(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	l.untilNow("coder", policy.NowUp)
	env := func(pairs ...string) []string {
		rule := "package reconcile.rules.mine\n"
		for i := 0; i < len(pairs); i += 2 {
			rule += fmt.Sprintf("\nenv contains {\"profile\": \"coder\", \"name\": %q, \"value\": %q, \"reason\": \"x\"} if true\n", pairs[i], pairs[i+1])
		}
		return l.policy(rule)
	}
	l.want(cli.ExitDone, "~ update  coder  gateway-coder run: env BOT_TOKEN added, env TZ added", "apply", env("TZ", "UTC", "BOT_TOKEN", "s3cret-1")...)
	next := env("TZ", "Europe/Berlin", "BOT_TOKEN", "s3cret-2", "GREETING", "hello")
	text := l.want(cli.ExitDone, "gateway-coder run: env BOT_TOKEN changed, env GREETING added, env TZ changed", "apply --dry-run --diff", next...)
	for _, words := range []string{"--- gateway-coder/run\n+++ gateway-coder/run (as decided)\n", "\n-\t'TZ=UTC' \\\n", "\n+\t'TZ=Europe/Berlin' \\\n", "\tBOT_TOKEN=<redacted> \\\n", "\n+\t'GREETING=hello' \\\n"} {
		if !strings.Contains(text, words) {
			t.Errorf("no %q in:\n%s", words, text)
		}
	}
	text += l.want(cli.ExitDone, "run: env BOT_TOKEN removed, env TZ removed", "apply --diff", "--policy", "")
	if strings.Contains(text, "s3cret") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	l.want(cli.ExitDone, "Nothing to do.", "apply")
	_, text = l.call("apply --dry-run -o json", env("TZ", "UTC")...)
	if !strings.Contains(text, `"env TZ added"`) || strings.Contains(text, `"diff"`) {
		t.Errorf("a plan without --diff:\n%s", text)
	}
}
