package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/policy"
)

// A Collector gathers the facts. Every failure becomes a value and does not affect other
// sources: a source that fails is {"status": "failed", "error": …}, and a source that does not
// answer in time is {"status": "timed_out"}.
type Collector struct {
	Home           Home
	Sources        []fact.Source
	ProfileSources []fact.ProfileSource
	// SourceTimeout bounds one source for one profile, or one source for the
	// container.
	SourceTimeout time.Duration
}

// Container runs the container's sources side by side.
func (c *Collector) Container(ctx context.Context) policy.Facts {
	ctx, cancel := context.WithTimeout(ctx, c.SourceTimeout)
	defer cancel()
	r := newReading(c.Sources)
	return c.within(ctx, r, func() {
		var sources sync.WaitGroup
		for _, s := range c.Sources {
			sources.Go(func() { r.add(s.Name(), collected(func() (any, error) { return s.Collect(ctx) })) })
		}
		sources.Wait()
	})
}

// Profiles runs the profile sources for every profile, several profiles at once. It calls emit
// with each profile's facts as they are ready, one call at a time, in no order. It returns soon
// after ctx ends, and has then called emit for every profile: facts that are unknown by then
// are timed_out. The error is that of listing the profiles.
func (c *Collector) Profiles(ctx context.Context, emit func(profile string, facts policy.Facts)) error {
	profiles, err := c.Home.Profiles(ctx)
	if err != nil {
		return fmt.Errorf("list profiles: %w", err)
	}
	var serial sync.Mutex
	var workers errgroup.Group
	workers.SetLimit(2 * runtime.GOMAXPROCS(0))
	for _, p := range profiles {
		workers.Go(func() error {
			facts := c.profile(ctx, p)
			serial.Lock()
			defer serial.Unlock()
			emit(p.Name, facts)
			return nil
		})
	}
	return workers.Wait()
}

func (c *Collector) profile(ctx context.Context, p policy.Profile) policy.Facts {
	r := newReading(c.ProfileSources)
	return c.within(ctx, r, func() { c.readProfile(ctx, p, r) })
}

// within returns what a reading has when read returns, or when one source takes too long.
// Another goroutine does the reading, and is left behind when it hangs: nothing interrupts a
// system call on a volume that does not answer.
func (c *Collector) within(ctx context.Context, r *reading, read func()) policy.Facts {
	if ctx.Err() != nil {
		return r.end()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		read()
	}()
	patience := time.NewTimer(c.SourceTimeout)
	defer patience.Stop()
	for {
		select {
		case <-done:
			return r.end()
		case <-ctx.Done():
			return r.end()
		case <-patience.C:
			since := r.sinceLast()
			if since >= c.SourceTimeout {
				return r.end()
			}
			patience.Reset(c.SourceTimeout - since)
		}
	}
}

// A reading is the facts that are known so far. It is safe for concurrent use.
type reading struct {
	mu    sync.Mutex
	facts policy.Facts // nil after end
	last  time.Time    // when the last fact was added; zero: none yet
}

// newReading returns a reading in which every source has timed out.
func newReading[S interface{ Name() string }](sources []S) *reading {
	r := &reading{facts: make(policy.Facts, len(sources))}
	for _, s := range sources {
		r.facts[s.Name()] = json.RawMessage(`{"status":"timed_out"}`)
	}
	return r
}

func (r *reading) add(source string, value json.RawMessage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.facts != nil {
		r.facts[source], r.last = value, time.Now()
	}
}

// sinceLast returns how long ago the last fact was added. Without any fact it is very long.
func (r *reading) sinceLast() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.last)
}

// end returns the facts. A fact that is added later is lost.
func (r *reading) end() policy.Facts {
	r.mu.Lock()
	defer r.mu.Unlock()
	facts := r.facts
	r.facts = nil
	return facts
}

func (c *Collector) readProfile(ctx context.Context, p policy.Profile, r *reading) {
	dir, done, err := c.Home.Open(p)
	if err != nil {
		for _, s := range c.ProfileSources {
			r.add(s.Name(), failed(err))
		}
		return
	}
	defer done()
	for _, s := range c.ProfileSources {
		r.add(s.Name(), collected(func() (any, error) { return s.Collect(ctx, dir) }))
	}
}

func failed(err error) json.RawMessage {
	value, marshalErr := json.Marshal(map[string]string{"status": policy.StatusFailed, "error": err.Error()})
	if marshalErr != nil {
		return json.RawMessage(`{"status":"failed"}`)
	}
	return value
}

// collected runs one source. A panic is a failure of that source, so that one bad file does not
// affect other profiles.
func collected(collect func() (any, error)) (value json.RawMessage) {
	defer func() {
		if r := recover(); r != nil {
			value = failed(fmt.Errorf("panic: %v", r))
		}
	}()
	v, err := collect()
	if err != nil {
		return failed(err)
	}
	value, err = json.Marshal(v)
	if err != nil {
		return failed(err)
	}
	return value
}
