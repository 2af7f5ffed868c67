package main

import (
	"os"
	"strings"
	"testing"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/policy"
)

// On a terminal, a command asks before what cannot be undone, and any answer but yes keeps it
// from that. --yes answers, and without a terminal nobody is asked.
func TestQuestions(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	l.untilNow("coder", policy.NowUp)
	ask := func(command, question, answer string) int {
		t.Helper()
		ours, theirs := newTerminal(t, 24)
		ended := make(chan int, 1)
		go func() {
			ended <- run(t.Context(), append(strings.Fields(command), l.places...), theirs, &strings.Builder{}, theirs)
		}()
		if question != "" {
			readUntil(t, ours, question, 1)
			if _, err := ours.WriteString(answer); err != nil {
				t.Fatal(err)
			}
		}
		return <-ended
	}
	up := func(want policy.Maybe) {
		t.Helper()
		if now := l.status().Profiles["coder"].Now; now != want {
			t.Errorf("coder is %s, want %s", now, want)
		}
	}
	if code := ask("stop --all", `Stop all gateways, and keep them down at later boots? "hermes-reconcile pause --all" stops them for a while. [y/N]`, "\n"); code != cli.ExitProfile {
		t.Errorf("no answer: exit %d", code)
	}
	up(policy.NowUp)
	if code := ask("unregister coder", "Stop the gateways, and remove their slots?", "n\n"); code != cli.ExitProfile {
		t.Errorf("no: exit %d", code)
	}
	up(policy.NowUp)
	if code := ask("release --all", "Set all holds of the rules aside", "yes\n"); code != cli.ExitDone {
		t.Errorf("release: exit %d", code)
	}
	if code := ask("stop --all", "Stop all gateways", "y\n"); code != cli.ExitDone {
		t.Errorf("yes: exit %d", code)
	}
	up(policy.NowDown)
	for _, command := range []string{"start coder", "stop coder", "start coder", "stop --all --yes", "unregister coder --yes", "register coder"} { // without a question
		if code := ask(command, "", ""); code != cli.ExitDone {
			t.Errorf("%s: exit %d", command, code)
		}
	}
	up(policy.NowDown)
	l.want(cli.ExitDone, "", "start coder")
	if code := run(t.Context(), append([]string{"stop", "--all"}, l.places...), strings.NewReader("n\n"), &strings.Builder{}, os.Stderr); code != cli.ExitDone {
		t.Errorf("without a terminal: exit %d", code)
	}
	up(policy.NowDown)
}
