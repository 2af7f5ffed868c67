package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/bundle"
	"hermes-reconcile/rego/process"
)

// watchBundles asks the sources of fetched bundles again and again.
func (w *watcher) watchBundles(ctx context.Context) error {
	w.quiet(watch.Bundles, nil)
	for ctx.Err() == nil {
		w.pollBundles(ctx)
	}
	return ctx.Err()
}

// pollBundles polls until renew is called.
func (w *watcher) pollBundles(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	w.mutex.Lock()
	c := w.config
	w.renew = cancel
	maps.DeleteFunc(w.bundles, func(_ string, b policy.Bundle) bool {
		return !slices.ContainsFunc(c.Policy, func(source string) bool { return policy.ShownSource(source) == b.Source })
	})
	w.mutex.Unlock()
	var all sync.WaitGroup
	for _, source := range c.Policy {
		if policy.IsFetched(source) && bundle.CheckSource(source) == nil { // else loading it is an error
			p := &poller{watcher: w, c: c, source: source}
			all.Go(func() { p.run(ctx) })
		}
	}
	<-ctx.Done()
	all.Wait()
}

// askAnew asks the sources of bundles once more, also for what was refused.
func (w *watcher) askAnew() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.renew != nil {
		w.renew()
	}
}

// tell keeps what is known of a bundle.
func (w *watcher) tell(b policy.Bundle) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.bundles[b.Source] = b
	all := make([]policy.Bundle, 0, len(w.bundles))
	for _, source := range slices.Sorted(maps.Keys(w.bundles)) {
		all = append(all, w.bundles[source])
	}
	if err := watch.Write(w.config.RunDir, watch.BundlesFile, all); err != nil {
		w.Log.Warn("what is known of bundles cannot be kept", "err", err)
	}
}

// bundleAlarms are about bundles that are refused.
func (w *watcher) bundleAlarms() []policy.Alarm {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var alarms []policy.Alarm
	for _, source := range slices.Sorted(maps.Keys(w.bundles)) {
		b := w.bundles[source]
		if back := b.RolledBack; back != nil {
			alarms = append(alarms, policy.Alarm{Code: policy.CodeRolledBack, Reason: fmt.Sprintf("%s: revision %s was rolled back, and %s decides again: %s", source, back.Revision, b.Name(), back.Reason)})
		}
		if b.Refused != "" {
			alarms = append(alarms, policy.Alarm{Code: policy.CodePolicyRefused, Reason: fmt.Sprintf("%s: revision %s is not used, and %s stays in force: %s",
				source, b.Refused, cmp.Or(b.Revision, "what there is"), b.Why)})
		}
	}
	return alarms
}

// A poller fetches one bundle.
type poller struct {
	*watcher
	c      config.Config
	source string
	state  policy.Bundle // in force, and what is known of its source
	etag   string        // of what was fetched last, which may be refused
	digest string        // of that
	waits  bool          // the server can wait for a change
}

func (p *poller) run(ctx context.Context) {
	if present, err := bundle.ReadCopy(p.c.StateDir, p.source, bundle.InForce); err == nil {
		p.state, p.etag = present.Bundle, present.ETag
		if p.state.RolledBack != nil || !p.state.OnTrial.IsZero() {
			p.tell(p.state)
		}
	}
	p.state.Source = policy.ShownSource(p.source)
	for failures := 0; ; {
		begun, before := time.Now(), p.state
		err := p.poll(ctx)
		if ctx.Err() != nil {
			return
		}
		failures++
		p.state.Error = ""
		if err != nil {
			p.state.Error = policy.Cut(policy.Line(err.Error()))
		} else {
			failures = 0
		}
		switch {
		case p.state.Error == before.Error:
		case p.state.Error == "":
			p.Log.Info("the bundle can be fetched again", "source", p.state.Source)
		default:
			p.Log.Warn("the bundle cannot be fetched", "source", p.state.Source, "err", p.state.Error)
		}
		p.state.Checked = time.Now().UTC().Truncate(time.Second)
		p.tell(p.state)
		changed := p.state.Digest != before.Digest
		if changed || p.state.Refused != before.Refused || p.state.Why != before.Why {
			p.trigger(ctx, watch.Trigger{Kind: watch.Bundles, Key: p.digest})
		}
		if changed {
			p.askAnew() // another bundle may have waited for this one
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(p.pause(failures, time.Since(begun))):
		}
	}
}

// pause returns the time to the next poll. After the first failures it is short.
func (p *poller) pause(failures int, took time.Duration) time.Duration {
	low, high := p.c.Bundles.PollMin, max(p.c.Bundles.PollMin, p.c.Bundles.PollMax)
	switch {
	case failures > 0:
		high = min(high, time.Second<<min(failures, 20))
		low = high / 2
	case p.waits && 2*took > p.c.Bundles.PollMax: // it has waited
		return time.Second
	}
	return low + rand.N(high-low+1)
}

// fetchTime is how long a server may take, beside the time that it is asked to wait.
const fetchTime = time.Minute

// poll fetches the bundle, if it is another one than before, and puts it in force, or notes
// why it is refused. After an error the same bundle is fetched again.
func (p *poller) poll(ctx context.Context) error {
	var wait time.Duration
	if next := p.state.Waiting; next != nil && !next.Until.IsZero() && !time.Now().Before(next.Until) {
		p.etag, p.digest = "", "" // what waited comes once more
	} else if p.waits && next == nil {
		wait = p.c.Bundles.PollMax
	}
	limited, cancel := context.WithTimeoutCause(ctx, fetchTime+wait, errors.New("a minute is over"))
	defer cancel()
	got, err := world.Fetcher(p.c).Get(limited, p.source, p.etag, wait)
	if err != nil || got.Text == nil {
		return err
	}
	digest := policy.Digest(got.Text)
	p.waits = got.LongPoll
	if digest != p.digest {
		if err := p.offer(ctx, got.Text, got.ETag, digest); err != nil {
			return err
		}
	}
	p.etag, p.digest = got.ETag, digest
	return nil
}

// offer checks a bundle completely, and puts it in force, has it wait, or refuses it. The
// error is that none of this can be done now.
func (p *poller) offer(ctx context.Context, text []byte, etag, digest string) error {
	p.state.Refused, p.state.Why, p.state.Waiting = "", "", nil
	if digest == p.state.Digest || p.wasRolledBack(policy.Bundle{Digest: digest}) {
		return nil
	}
	fetched := bundle.Fetched{ETag: etag, Text: text}
	next, up, why, err := p.check(ctx, fetched)
	if err != nil || why != "" || next.Waiting != nil {
		p.state.Refused, p.state.Why, p.state.Waiting = policy.Bundle{Revision: next.Revision, Digest: digest}.Name(), why, next.Waiting
		if why == "" {
			p.state.Refused = ""
		}
		return err
	}
	p.putting.Lock()
	defer p.putting.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	fetched.Bundle, fetched.Up = next, up
	if err := bundle.Activate(p.c.StateDir, p.source, fetched, time.Now()); err != nil {
		return err
	}
	bundle.Accepted(p.c.StateDir, next.Name(), true)
	next.Activated = time.Now().UTC().Truncate(time.Second)
	p.state = next
	return nil
}

// check decides on the present facts with a bundle. Why is the reason to refuse it, and up are
// the profiles that run.
func (p *poller) check(ctx context.Context, fetched bundle.Fetched) (next policy.Bundle, up []string, why string, err error) {
	rules := &process.Rules{Configure: func() process.Settings {
		s := world.RulesSettings(p.c)
		s.Instead = map[string]bundle.Fetched{p.source: fetched}
		s.Policy = slices.DeleteFunc(slices.Clone(s.Policy), func(other string) bool {
			return other != p.source && policy.IsFetched(other) && !bundle.HasCopy(s.StateDir, other)
		})
		return s
	}}
	rules.Loaded = func(status policy.Status) {
		for _, b := range status.Bundles {
			if b.Source == p.state.Source {
				next = b
			}
		}
	}
	on, closeWorld, err := world.On(p.c, rules, world.NoLog, world.NoLog, func() (*remote.Child, error) { return world.Volume(p.c, policy.PhaseApply) })
	if err != nil {
		rules.Close()
		return next, nil, "", err
	}
	defer closeWorld()
	ctx, cancel := context.WithTimeout(ctx, p.c.Boot.Deadline)
	defer cancel()
	r, err := reconcile.Pass(ctx, on, reconcile.Options{Phase: policy.PhaseApply, Extent: reconcile.ToDecisions})
	if _, mistake := errors.AsType[*reconcile.RulesError](err); mistake && ctx.Err() == nil {
		return next, nil, policy.Cut(err.Error()), nil
	}
	if err != nil {
		return next, nil, "", err
	}
	isAccepted := bundle.Accepted(p.c.StateDir, next.Name(), false)
	switch broken := reconcile.Broken(r.Decisions); {
	case ctx.Err() != nil:
		return next, nil, "", ctx.Err()
	case len(broken) > 0:
		why = strings.Join(broken, "; ")
	case reconcile.WrongSettings(r.Decisions):
		why = "one of its settings cannot be used"
	case isAccepted:
	case next.GoesBack(p.state):
		why = fmt.Sprintf("it is older than revision %s; `hermes-reconcile policy accept %s` lets it in", p.state.Revision, next.Revision)
	case p.wasRolledBack(next):
		why = fmt.Sprintf("it was rolled back; `hermes-reconcile policy accept %s` lets it in", next.Name())
	case p.state.Digest != "": // else nothing is in force that could stay
		if err := p.rollOut(&next, policy.LabelsOf(r.Input.Container)); err != nil {
			why = err.Error()
		}
	}
	return next, running(r.Input), policy.Cut(why), nil
}
