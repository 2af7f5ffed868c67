package watch

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestQueueCoalesces(t *testing.T) {
	q := newQueue()
	a, b := Trigger{Volume, "a"}, Trigger{Slots, "b"}
	q.add(a, start, time.Second, time.Minute)
	q.add(b, start.Add(time.Second/2), time.Second, time.Minute)
	q.add(a, start.Add(time.Second/2), time.Second, time.Minute)
	if due := q.due(); !due.Equal(start.Add(time.Second)) {
		t.Errorf("due after %v, want one second after the first trigger", due.Sub(start))
	}
	if taken := q.take(); len(taken) != 2 {
		t.Errorf("taken %v, want both", taken)
	}
	if !q.due().IsZero() {
		t.Error("a pass takes everything")
	}
}

// A trigger that never leads to anything is listened to less and less, at least every resync;
// after a quiet minute it is new again, and others do not wait for it.
func TestDullTriggers(t *testing.T) {
	q := newQueue()
	busy, other := Trigger{Volume, "busy"}, Trigger{Volume, "other"}
	now := start
	var waits []time.Duration
	for range 12 {
		q.add(busy, now, time.Second/5, time.Minute)
		at := q.due()
		waits = append(waits, at.Sub(now))
		q.add(other, now, time.Second/5, time.Minute)
		if at := q.pending[other]; at.Sub(now) != time.Second/5 {
			t.Fatalf("another trigger waits %v", at.Sub(now))
		}
		delete(q.pending, other)
		now = at
		q.learn(q.take(), false, now)
	}
	if waits[0] != time.Second/5 || waits[4] != 2*time.Second || waits[11] != time.Minute {
		t.Errorf("it waits %v", waits)
	}
	q.add(busy, now.Add(3*time.Minute), time.Second/5, time.Minute)
	if wait := q.due().Sub(now.Add(3 * time.Minute)); wait != time.Second/5 {
		t.Errorf("after three quiet minutes it waits %v", wait)
	}
	q.learn(q.take(), true, now.Add(3*time.Minute))
	if len(q.dull) != 0 {
		t.Error("a pass that changed something makes it new")
	}
}

// Who asks waits for the answer, however often somebody has asked for nothing.
func TestPokesAreHeardSoon(t *testing.T) {
	q := newQueue()
	now := start
	for range 20 {
		q.add(Trigger{Kind: Poke}, now, time.Second/5, time.Minute)
		if wait := q.due().Sub(now); wait > 5*time.Second {
			t.Fatalf("it waits %v", wait)
		}
		now = q.due()
		q.learn(q.take(), false, now)
	}
}

func TestQueueIsBounded(t *testing.T) {
	q := newQueue()
	for i := range 3 * maxPending {
		q.add(Trigger{Volume, strings.Repeat("x", i)}, start, 0, 0)
	}
	if len(q.pending) > maxPending+1 {
		t.Errorf("%d triggers wait", len(q.pending))
	}
}

func TestProblemsAreSaidOnce(t *testing.T) {
	var text strings.Builder
	plain := slog.New(slog.NewTextHandler(&text, nil))
	o := newOnce(plain.Handler())
	for range 3 {
		slog.New(o).Warn("alarm", "profile", "a")
		slog.New(o).Warn("alarm", "profile", "a")
		o.passed(plain)
	}
	o.passed(plain)
	o.passed(plain)
	if n := strings.Count(text.String(), "msg=alarm"); n != 1 {
		t.Errorf("said %d times:\n%s", n, text.String())
	}
	if n := strings.Count(text.String(), `msg=over was="alarm profile=a"`); n != 1 {
		t.Errorf("over %d times:\n%s", n, text.String())
	}
}
