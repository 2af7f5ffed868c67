package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"time"

	"hermes-reconcile/policy"
)

// A Collector gathers the facts. Whatever it meets becomes a value: a source
// that fails is {"status": "failed", "error": …}, one that does not answer in
// time {"status": "timed_out"}, and the others go on.
type Collector struct {
	Home           Home
	Sources        []Source
	ProfileSources []ProfileSource
	// SourceTimeout bounds one source for one profile, or one source for the
	// container.
	SourceTimeout time.Duration
}

// Container runs the container's sources side by side.
func (c *Collector) Container(ctx context.Context) policy.Facts {
	facts := make(policy.Facts, len(c.Sources))
	answers := make(chan fact, len(c.Sources))
	ctx, cancel := context.WithTimeout(ctx, c.SourceTimeout)
	defer cancel()
	for _, s := range c.Sources {
		facts[s.Name()] = timedOut
		go func() {
			answers <- fact{s.Name(), collected(func() (any, error) { return s.Collect(ctx) })}
		}()
	}
	for range c.Sources {
		select {
		case a := <-answers:
			facts[a.name] = a.value
		case <-ctx.Done():
			return drain(facts, answers)
		}
	}
	return facts
}

// drain takes the answers that are there already when the time is up.
func drain(facts policy.Facts, answers <-chan fact) policy.Facts {
	for {
		select {
		case a := <-answers:
			facts[a.name] = a.value
		default:
			return facts
		}
	}
}

// Profiles runs the profile sources for every profile, several profiles at
// once, and calls emit with each profile's facts as they are ready, one call at
// a time, in no order. When ctx ends, emit has been called for every profile:
// what is unknown by then is timed_out. The error is that of listing the
// profiles.
func (c *Collector) Profiles(ctx context.Context, emit func(profile string, facts policy.Facts)) error {
	profiles, err := c.Home.Profiles(ctx)
	if err != nil {
		return fmt.Errorf("list profiles: %w", err)
	}
	work := make(chan policy.Profile)
	go func() {
		defer close(work)
		for _, p := range profiles {
			work <- p
		}
	}()
	var serial sync.Mutex
	var workers sync.WaitGroup
	for range min(len(profiles), 2*runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for p := range work {
				facts := c.profile(ctx, p)
				serial.Lock()
				emit(p.Name, facts)
				serial.Unlock()
			}
		})
	}
	workers.Wait()
	return nil
}

// profile collects the facts of one profile. The reading runs in a goroutine of
// its own that is left behind when it hangs: a system call on a volume that
// does not answer cannot be interrupted.
func (c *Collector) profile(ctx context.Context, p policy.Profile) policy.Facts {
	r := &reading{facts: make(policy.Facts, len(c.ProfileSources))}
	for _, s := range c.ProfileSources {
		r.facts[s.Name()] = timedOut
	}
	if ctx.Err() != nil {
		return r.end()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.readProfile(ctx, p, r)
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

// A reading is what is known of one profile so far. It is read by one goroutine and
// watched by another.
type reading struct {
	mu    sync.Mutex
	facts policy.Facts // nil once nobody waits any more
	last  time.Time    // when the last fact came; zero: none yet
}

func (r *reading) add(source string, value json.RawMessage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.facts != nil {
		r.facts[source], r.last = value, time.Now()
	}
}

// sinceLast is how long ago the last fact came; without any, as long as can be.
func (r *reading) sinceLast() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.last)
}

// end returns what is there; what comes later is lost.
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

type fact struct {
	name  string
	value json.RawMessage
}

var timedOut = json.RawMessage(`{"status":"timed_out"}`)

func failed(err error) json.RawMessage {
	value, marshalErr := json.Marshal(map[string]string{"status": policy.StatusFailed, "error": err.Error()})
	if marshalErr != nil {
		return json.RawMessage(`{"status":"failed"}`)
	}
	return value
}

// collected runs one source. A panic is that source's failure: one bad file
// must not take the other profiles down.
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
