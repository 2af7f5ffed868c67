package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/wait"
)

// Without a terminal, a wait is a line each five seconds, and a short one is none. The newest
// wait is the one that is shown.
func TestWaitsAreShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		out := &sink{to: &text, patience: time.Second}
		life := &signOfLife{to: out}
		out.before = life.clear
		ctx := wait.With(t.Context(), life.begin)
		short := wait.For(ctx, "a moment", 0)
		time.Sleep(4 * time.Second)
		short()
		time.Sleep(time.Minute)
		long := wait.For(ctx, "coder\x1b[31m", 30*time.Second)
		time.Sleep(6 * time.Second)
		within := wait.For(ctx, "the volume", 0)
		time.Sleep(6 * time.Second)
		within()
		time.Sleep(5 * time.Second)
		long()
		time.Sleep(time.Minute)
		const want = "waiting for coder\\u001b[31m: 5 s of 30 s\nwaiting for the volume: 5 s\nwaiting for coder\\u001b[31m: 12 s of 30 s\nwaiting for coder\\u001b[31m: 15 s of 30 s\n"
		if text.String() != want {
			t.Errorf("shown is\n%q\nwant\n%q", text.String(), want)
		}
	})
}

// On a terminal, a wait of more than a second is a line that is gone when the command prints.
func TestAWaitOnATerminal(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	l.untilNow("coder", policy.NowUp)
	l.write("gateway", "#!/bin/sh\ntrap 'sleep 3; exit 0' TERM\nwhile :; do sleep 0.1; done\n", 0o755)
	l.want(exitDone, "", "restart coder")
	ours, theirs := newTerminal(t, 24)
	ended := make(chan int, 1)
	go func() {
		ended <- run(t.Context(), append([]string{"stop", "coder"}, l.places...), theirs, theirs, theirs)
	}()
	text := readUntil(t, ours, "coder: stopped", 1)
	if code := <-ended; code != exitDone {
		t.Errorf("exit %d", code)
	}
	line, _, drawn := strings.Cut(text, "\r\x1b[Kcoder: stopped")
	if !drawn || !regexp.MustCompile(`\r[-|/\\] waiting for coder: [1-9] s of 10 s\x1b\[K\r`).MatchString(line) {
		t.Errorf("drawn is %q", text)
	}
}
