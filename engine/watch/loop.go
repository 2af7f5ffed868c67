// Package watch keeps a running container what the rules say. A trigger says look again,
// and a pass reads all facts anew:
//
//	triggers (volume, slots, operator, time, poke, resync) -> queue -> pass -> what changed
//
// The passes are those of package reconcile, one at a time. The package decides when to look,
// and which operations of a plan a watch leaves out. It knows neither files of a home nor the
// supervisor.
package watch

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/memory"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
)

// Command is what the ledger calls the passes of a watch.
const Command = "watch"

// Times say when a watch looks.
type Times struct {
	Debounce time.Duration // from the first trigger to the pass
	Resync   time.Duration // from one pass to the next without any trigger
	Polls    bool          // there are facts of whose change no event tells
	MaxStops int           // gateways that one pass stops; -1: half of those that run, at least 2
}

// A Loop is a watch. All fields but Passed are set.
type Loop struct {
	Dir      string // of the files of the watch
	Triggers <-chan Trigger
	Log      *slog.Logger
	// Times returns the present ones. It is asked after each pass.
	Times func() Times
	// Pass runs a pass. Its problems go to the logger.
	Pass func(context.Context, *slog.Logger, reconcile.Options) (reconcile.Report, error)
	// Events says for each kind of trigger that gives no events why there are none.
	Events func() map[string]string
	// Passed gets every report, and may change what the state says of uploads.
	Passed func(report reconcile.Report, err error, triggers []string, took time.Duration, s *State)

	guard *guard
	queue *queue
	once  *once
	times Times
	state State
	saved map[string]Applied // what AppliedFile has
	said  State              // what StateFile has
	last  time.Time          // the end of the last pass
	next  time.Time          // when the rules want to be asked; zero is never
	calm  int                // resyncs since the last pass
}

// Run looks again and again until ctx ends. Its error is that it cannot begin.
func (l *Loop) Run(ctx context.Context) error {
	applied, err := readApplied(l.Dir)
	if err != nil {
		l.Log.Warn("which decisions were applied is not known", "err", err)
	}
	removeTemps(l.Dir, time.Now())
	l.saved = applied
	l.guard, l.queue, l.once, l.times = newGuard(applied), newQueue(), newOnce(l.Log.Handler()), l.Times()
	l.state = State{PID: os.Getpid(), Alarms: []policy.Alarm{}, Blocked: []string{}, Events: map[string]string{}}
	if err := Write(l.Dir, StateFile, l.state); err != nil {
		return err
	}
	l.last = time.Now()
	l.queue.add(Trigger{Kind: Started}, l.last, 0, 0)
	for {
		taken := l.wait(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if l.mayRest(taken) {
			continue
		}
		l.look(ctx, taken)
	}
}

// wait waits until it is time for a pass, and returns why.
func (l *Loop) wait(ctx context.Context) []Trigger {
	for {
		now := time.Now()
		at, kind := l.due()
		if !now.Before(at) {
			taken := l.queue.take()
			if kind != "" {
				taken = append(taken, Trigger{Kind: kind})
			}
			return taken
		}
		timer := time.NewTimer(at.Sub(now))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case t := <-l.Triggers:
			l.queue.add(t, time.Now(), l.times.Debounce, l.times.Resync)
		case <-timer.C:
		}
		timer.Stop()
	}
}

// due returns when the next pass is due, and the kind of the trigger that is no event.
func (l *Loop) due() (at time.Time, kind Kind) {
	at, kind = l.last.Add(l.times.Resync), Resync
	earlier := func(t time.Time, k Kind) {
		if !t.IsZero() && t.Before(at) {
			at, kind = t, k
		}
	}
	earlier(l.next, Time)
	earlier(l.guard.retry(), Retry)
	earlier(l.queue.due(), "")
	return at, kind
}

// calmest is how many resyncs make a pass where every source gives events.
const calmest = 5

// mayRest reports whether no pass is needed, and then only tells that the watch lives.
func (l *Loop) mayRest(taken []Trigger) bool {
	l.calm++
	onlyTime := len(taken) == 1 && taken[0].Kind == Resync
	if !onlyTime || l.calm >= calmest || l.times.Polls || len(l.Events()) > 0 {
		l.calm = 0
		return false
	}
	l.last = time.Now()
	if err := looked(l.Dir, l.last); err != nil {
		slog.New(l.once).Error("the state cannot be written", "err", err)
	}
	return true
}

// patience is how long one pass waits for a gateway whose slot is removed or sealed, and for a
// scan. The others wait meanwhile, and what is not done is tried again.
const patience = 5 * time.Second

// look runs one pass and learns from it.
func (l *Loop) look(ctx context.Context, taken []Trigger) {
	begun := time.Now()
	kinds := kindsOf(taken)
	l.times = l.Times()
	l.guard.maxStops, l.guard.accepted = l.times.MaxStops, l.acceptedStops(begun)
	report, err := l.Pass(ctx, slog.New(l.once), reconcile.Options{
		Phase: policy.PhaseApply, Command: Command, Cause: kinds, Extent: reconcile.ToEnd, FallBack: true, Rescan: true, KeepRules: true,
		Execute: policy.ExecuteOptions{NoWait: true, Wait: patience},
		Amend:   func(r *reconcile.Report) { l.guard.amend(r, time.Now()) },
	})
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	l.last = now
	if err != nil {
		slog.New(l.once).Error("no pass", "err", err)
	}
	changed := slices.ContainsFunc(report.Results, func(r policy.Result) bool { return r.Done })
	l.queue.learn(taken, changed, now)
	l.guard.learn(report, err, now)
	l.keep(report, err)
	l.publish(report, err, kinds, begun, changed)
	l.once.passed(l.Log)
	memory.Rest()
}

func kindsOf(taken []Trigger) []string {
	var kinds []string
	for _, t := range taken {
		kinds = append(kinds, string(t.Kind))
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// keep saves what the pass applied, and finds out when to look again.
func (l *Loop) keep(report reconcile.Report, err error) {
	if err != nil || report.Decisions.Profiles == nil {
		return
	}
	l.next, l.state.NextUnix, l.state.NextReason = time.Time{}, 0, ""
	if at, reason, ok := engine.NextLook(report.Decisions, report.Input.Now); ok {
		l.next, l.state.NextUnix, l.state.NextReason = at, at.Unix(), reason
	}
	applied := after(l.guard.applied, report, l.guard.alone)
	if err := saveApplied(l.Dir, l.saved, applied); err != nil {
		slog.New(l.once).Error("the applied decisions cannot be kept", "err", err)
	} else {
		l.saved = applied
	}
	l.guard.applied = applied
	if len(l.guard.blocked) == 0 {
		_ = os.Remove(filepath.Join(l.Dir, AcceptFile)) // used, or of no use
	}
}

// publish writes the state, if it says something new.
func (l *Loop) publish(report reconcile.Report, err error, kinds []string, begun time.Time, changed bool) {
	s := l.state
	s.Alarms = append([]policy.Alarm{}, ledger.FewAlarms(report.Alarms)...)
	if err != nil {
		s.Alarms = append(s.Alarms, policy.Alarm{Code: CodeNoPass, Reason: policy.Cut(err.Error())})
	}
	s.Blocked = append([]string{}, l.guard.blocked...)
	s.Events = l.Events()
	if l.Passed != nil {
		l.Passed(report, err, kinds, time.Since(begun), &s)
	}
	isNew := changed || slices.Contains(kinds, string(Poke)) || slices.Contains(kinds, string(Started)) || !reflect.DeepEqual(s.news(), l.said.news())
	s.Passes++
	if isNew {
		s.BegunUnixNS = begun.UnixNano()
		err = Write(l.Dir, StateFile, s)
	} else {
		err = looked(l.Dir, l.last)
	}
	l.state = s
	switch {
	case err != nil:
		l.said = State{}
		slog.New(l.once).Error("the state cannot be written", "err", err)
	case isNew:
		l.said = s
	}
}

// news returns the state without what is different at each look.
func (s State) news() State {
	s.Passes, s.BegunUnixNS = 0, 0
	if s.Uploads != nil {
		s.Uploads = &Uploads{Problem: s.Uploads.Problem}
	}
	return s
}

// acceptance is AcceptFile.
type acceptance struct {
	Profiles []string `json:"profiles"`
	AtUnix   int64    `json:"at_unix"`
}

// acceptFor is how long a watch remembers that stops are accepted.
const acceptFor = 10 * time.Minute

// Accept lets the watch of a directory stop the gateways of profiles that it did not stop
// because there were too many: those that its state has as blocked.
func Accept(dir string, profiles []string, now time.Time) error {
	return Write(dir, AcceptFile, acceptance{profiles, now.Unix()})
}

// acceptedStops returns the profiles whose gateways an operator lets stop.
func (l *Loop) acceptedStops(now time.Time) []string {
	a, err := Read[acceptance](l.Dir, AcceptFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		l.Log.Error("what is accepted cannot be read", "err", err)
		return nil
	}
	if age := now.Sub(time.Unix(a.AtUnix, 0)); age < -acceptFor || age > acceptFor {
		return nil
	}
	return a.Profiles
}
