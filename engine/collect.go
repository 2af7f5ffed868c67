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
	facts := make(policy.Facts, len(c.ProfileSources))
	for _, s := range c.ProfileSources {
		facts[s.Name()] = timedOut
	}
	if ctx.Err() != nil {
		return facts
	}
	answers := make(chan fact, len(c.ProfileSources))
	go c.readProfile(ctx, p, answers)
	timer := time.NewTimer(c.SourceTimeout)
	defer timer.Stop()
	for range c.ProfileSources {
		select {
		case a := <-answers:
			facts[a.name] = a.value
			timer.Reset(c.SourceTimeout)
		case <-timer.C:
			return drain(facts, answers)
		case <-ctx.Done():
			return drain(facts, answers)
		}
	}
	return facts
}

func (c *Collector) readProfile(ctx context.Context, p policy.Profile, answers chan<- fact) {
	dir, done, err := c.Home.Open(p)
	if err != nil {
		for _, s := range c.ProfileSources {
			answers <- fact{s.Name(), failed(err)}
		}
		return
	}
	defer done()
	for _, s := range c.ProfileSources {
		answers <- fact{s.Name(), collected(func() (any, error) { return s.Collect(ctx, dir) })}
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
