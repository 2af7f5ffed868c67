package watch

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
)

// A bench is a loop whose passes a test makes up.
type bench struct {
	*Loop
	triggers chan Trigger
	passes   []time.Duration // when each began
	causes   [][]string
	report   func(n int) (reconcile.Report, error)
	running  int
	turn     sync.Mutex
	silent   map[string]string
}

// run runs a loop under a clock of the test, and the test beside it. Prepare changes the loop
// before it runs, and may be nil.
func run(t *testing.T, report func(n int) (reconcile.Report, error), prepare, beside func(b *bench)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		b := &bench{triggers: make(chan Trigger), report: report, silent: map[string]string{"volume": "it is on NFS"}}
		b.Loop = &Loop{
			Dir: dir, Triggers: b.triggers, Log: slog.New(slog.DiscardHandler),
			Times:  func() Times { return Times{Debounce: 200 * time.Millisecond, Resync: time.Minute, MaxStops: -1} },
			Events: func() map[string]string { return b.silent },
			Pass: func(_ context.Context, _ *slog.Logger, o reconcile.Options) (reconcile.Report, error) {
				b.taken()
				if b.running++; b.running > 1 {
					t.Error("two passes at a time")
				}
				b.passes, b.causes = append(b.passes, time.Since(begun)), append(b.causes, o.Cause)
				time.Sleep(50 * time.Millisecond)
				b.running--
				r, err := b.report(len(b.passes))
				if err == nil {
					o.Amend(&r)
				}
				return r, err
			},
		}
		if prepare != nil {
			prepare(b)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			if err := b.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		beside(b)
		cancel()
		synctest.Wait()
	})
}

// pause lets time pass, and the loop do what it does by then.
func (b *bench) pause(d time.Duration) {
	b.taken() // what the test has read
	time.Sleep(d)
	synctest.Wait()
}

// taken orders what the test and the loop do, for the race detector.
func (b *bench) taken() {
	b.turn.Lock()
	defer b.turn.Unlock()
}

func nothing(int) (reconcile.Report, error) { return newScene().Report, nil }

func TestChangesCoalesce(t *testing.T) {
	run(t, nothing, nil, func(b *bench) {
		b.pause(time.Second)
		for _, key := range []string{"a", "b", "c"} {
			b.triggers <- Trigger{Volume, key}
			b.pause(50 * time.Millisecond)
		}
		b.triggers <- Trigger{Slots, "a"}
		b.pause(10 * time.Second)
		if want := []time.Duration{0, 1200 * time.Millisecond}; !slices.Equal(b.passes, want) || !slices.Equal(b.causes[1], []string{"slots", "volume"}) {
			t.Errorf("passes at %v for %v", b.passes, b.causes)
		}
		b.pause(2 * time.Minute)
		if len(b.passes) != 4 || !slices.Equal(b.causes[3], []string{"resync"}) {
			t.Errorf("passes at %v for %v, want one each minute", b.passes, b.causes)
		}
	})
}

// Where every source gives events, a pass without one comes five times as rarely. The watch
// still tells that it lives.
func TestACalmWatchLooksRarely(t *testing.T) {
	for _, polls := range []bool{false, true} {
		calm := func(b *bench) {
			b.silent = nil
			times := b.Times()
			times.Polls = polls
			b.Times = func() Times { return times }
		}
		run(t, nothing, calm, func(b *bench) {
			b.pause(11 * time.Minute)
			want := 3
			if polls {
				want = 11
			}
			if len(b.passes) != want {
				t.Errorf("facts without events %v: passes at %v, want %d", polls, b.passes, want)
			}
			if at, err := os.Stat(filepath.Join(b.Dir, StateFile)); err != nil || time.Since(at.ModTime()) > 2*time.Minute {
				t.Errorf("it looked %v, %v", at.ModTime(), err)
			}
		})
	}
}

// A pass that changed nothing writes nothing: it only notes the time of the look.
func TestAQuietPassWritesNothing(t *testing.T) {
	sent := time.Now().Unix()
	run(t, nothing, func(b *bench) {
		b.Passed = func(_ reconcile.Report, _ error, _ []string, _ time.Duration, s *State) {
			sent++
			s.Uploads = &Uploads{UploadedUnix: sent}
		}
	}, func(b *bench) {
		b.pause(90 * time.Second)
		inode := func() (uint64, time.Time) {
			info, err := os.Stat(filepath.Join(b.Dir, StateFile))
			if err != nil {
				t.Fatal(err)
			}
			return info.Sys().(*syscall.Stat_t).Ino, info.ModTime()
		}
		before, looked := inode()
		b.pause(2 * time.Minute)
		if after, again := inode(); after != before || !again.After(looked) {
			t.Errorf("the state is written again: %v, or no look is noted: %v", after != before, again)
		}
		b.triggers <- Trigger{Kind: Poke}
		b.pause(time.Second)
		if after, _ := inode(); after == before {
			t.Error("who asked for a look is told nothing")
		}
	})
}

func TestAPassThatFailsIsTriedAgain(t *testing.T) {
	fails := func(n int) (reconcile.Report, error) {
		if n <= 6 {
			return reconcile.Report{}, errors.New("locked")
		}
		return nothing(n)
	}
	run(t, fails, nil, func(b *bench) {
		b.pause(50 * time.Second)
		if n := len(b.passes); n != 6 { // after 1, 2, 4, 8 and 16 s
			t.Errorf("passes at %v", b.passes)
		}
		if s, err := ReadState(b.Dir); err != nil || len(s.Alarms) != 1 || s.Alarms[0].Code != CodeNoPass {
			t.Errorf("%v %v", s.Alarms, err)
		}
		b.pause(time.Minute)
		if s, err := ReadState(b.Dir); err != nil || len(s.Alarms) != 0 {
			t.Errorf("%v %v", s.Alarms, err)
		}
	})
}

func TestAcceptedStops(t *testing.T) {
	var done []string
	stops := func(int) (reconcile.Report, error) {
		s := newScene()
		for _, name := range []string{"a", "b", "c"} {
			if !slices.Contains(done, name) {
				s.profile(name, policy.ActionDown, true, down)
				s.hold(name)
			}
		}
		return s.Report, nil
	}
	run(t, stops, func(b *bench) {
		pass := b.Pass
		b.Pass = func(ctx context.Context, log *slog.Logger, o reconcile.Options) (reconcile.Report, error) {
			r, err := pass(ctx, log, o)
			for _, op := range r.Plan.Operations {
				done = append(done, op.Profile)
				r.Results = append(r.Results, policy.Result{Operation: op, Done: true})
			}
			return r, err
		}
	}, func(b *bench) {
		b.pause(5 * time.Minute)
		if len(done) > 0 {
			t.Fatalf("stopped %v", done)
		}
		names := []string{"a", "b", "c"}
		if s, err := ReadState(b.Dir); err != nil || !slices.Equal(s.Blocked, names) {
			t.Fatalf("blocked are %v %v", s.Blocked, err)
		}
		if err := Accept(b.Dir, names, time.Now()); err != nil {
			t.Fatal(err)
		}
		b.triggers <- Trigger{Kind: Poke}
		b.pause(time.Second)
		if !slices.Equal(done, names) {
			t.Errorf("stopped %v", done)
		}
		if s, err := ReadState(b.Dir); err != nil || len(s.Blocked) > 0 {
			t.Errorf("it is accepted once: %v %v", s.Blocked, err)
		}
		if _, err := os.Stat(filepath.Join(b.Dir, AcceptFile)); err == nil {
			t.Error("what was accepted once counts again")
		}
	})
}

// The time of the next look is told when it is all that changed.
func TestAnotherNextLookIsTold(t *testing.T) {
	until := ""
	held := func(int) (reconcile.Report, error) {
		s := newScene()
		s.profile("a", policy.ActionDown, false)
		s.hold("a")
		s.Decisions.Profiles["a"].Contributions[0].Until = until
		s.Input.Now = policy.NewNow(time.Now())
		return s.Report, nil
	}
	run(t, held, nil, func(b *bench) {
		b.pause(time.Second)
		for _, wait := range []time.Duration{time.Hour, 2 * time.Hour} {
			at := time.Now().Add(wait).Truncate(time.Second)
			until = at.Format(time.RFC3339)
			b.pause(2 * time.Minute)
			if s, err := ReadState(b.Dir); err != nil || s.NextUnix != at.Unix() {
				t.Errorf("the next look is told to be at %d, want %d: %v", s.NextUnix, at.Unix(), err)
			}
		}
	})
}
