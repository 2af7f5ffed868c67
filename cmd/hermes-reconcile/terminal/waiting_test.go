package terminal

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"hermes-reconcile/policy/wait"
)

// Without a terminal, a wait is a line each five seconds, and a short one is none. The newest
// wait is the one that is shown.
func TestWaitsAreShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		out := &Sink{to: &text, patience: time.Second}
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
