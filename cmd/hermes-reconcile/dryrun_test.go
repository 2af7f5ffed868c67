package main

import (
	"strings"
	"testing"

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
		{exitChanges, "~ bring-down  coder  gateway-coder  # asked for", "stop coder"},
		{exitChanges, `the intent "stopped" would be recorded`, "stop --all"},
		{exitDone, "Plan: nothing to do.", "stop writer"},
		{exitChanges, "- remove  coder  gateway-coder", "unregister coder"},
		{exitChanges, "~ bring-up    coder", "restart coder"},
		{exitDone, "Plan: nothing to do.", "start coder --up-for 0s"},
		{exitProfile, "FAILED  writer: it is held: it is night", "start writer"},
		{exitChanges, "~ bring-up  writer", "start writer --override"},
		{exitChanges, "the hold of reconcile.rules.night (night) is set aside", "release writer"},
		{exitChanges, "+ publish  kids", "register kids"},
		{exitDone, "coder: has its slot", "register coder"},
		{exitChanges, "~ bring-down  coder", "pause --all"},
		{exitDone, "coder: not paused", "resume coder"},
		{exitChanges, "+ publish  kids", "apply"},
		{exitDone, "Plan: nothing to do.", "apply coder"},
		{exitProfile, "no such profile", "stop codr"},
	} {
		l.want(c.code, c.words, c.command+" --dry-run --detailed-exitcode", night...)
		if c.code == exitChanges {
			l.want(exitDone, c.words, c.command+" --dry-run", night...)
		}
	}
	l.want(exitUsage, "--detailed-exitcode goes with --dry-run", "stop coder --detailed-exitcode")
	if text := l.want(exitDone, `"dry_run": true`, "stop coder --dry-run -o json"); !strings.Contains(text, `"done": false`) {
		t.Errorf("it is done: %s", text)
	}
	d := l.status()
	if d.Profiles["coder"].PID != pid || d.Profiles["writer"].Now != policy.NowDown || d.Profiles["kids"].Slot != policy.SlotNone {
		t.Errorf("something changed: %+v", d.Profiles)
	}
	if now := l.read("home/profiles/coder/gateway_state.json") + l.read("home/profiles/writer/gateway_state.json"); now != recorded {
		t.Errorf("the intents were\n%s\nand are\n%s", recorded, now)
	}
	l.want(exitProfile, "it is held: it is night", "start writer", night...)
}
