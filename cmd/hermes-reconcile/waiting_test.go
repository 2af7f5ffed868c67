package main

import (
	"regexp"
	"strings"
	"testing"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/policy"
)

// On a terminal, a wait of more than a second is a line that is gone when the command prints.
func TestAWaitOnATerminal(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	l.untilNow("coder", policy.NowUp)
	l.write("gateway", "#!/bin/sh\ntrap 'sleep 3; exit 0' TERM\nwhile :; do sleep 0.1; done\n", 0o755)
	l.want(cli.ExitDone, "", "restart coder")
	ours, theirs := newTerminal(t, 24)
	ended := make(chan int, 1)
	go func() {
		ended <- run(t.Context(), append([]string{"stop", "coder"}, l.places...), theirs, theirs, theirs)
	}()
	text := readUntil(t, ours, "coder: stopped", 1)
	if code := <-ended; code != cli.ExitDone {
		t.Errorf("exit %d", code)
	}
	line, _, drawn := strings.Cut(text, "\r\x1b[Kcoder: stopped")
	if !drawn || !regexp.MustCompile(`\r[-|/\\] waiting for coder: [1-9] s of 10 s\x1b\[K\r`).MatchString(line) {
		t.Errorf("drawn is %q", text)
	}
}
