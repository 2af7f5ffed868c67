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
	return gather(ctx, c.Sources, c.SourceTimeout, func(facts chan<- oneFact) {
		var sources sync.WaitGroup
		for _, s := range c.Sources {
			sources.Go(func() { facts <- collected(s.Name(), func() (any, error) { return s.Collect(ctx) }) })
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
			facts := gather(ctx, c.ProfileSources, c.SourceTimeout, func(facts chan<- oneFact) { c.readProfile(ctx, p, facts) })
			serial.Lock()
			defer serial.Unlock()
			emit(p.Name, facts)
			return nil
		})
	}
	return workers.Wait()
}

func (c *Collector) readProfile(ctx context.Context, p policy.Profile, facts chan<- oneFact) {
	dir, done, err := c.Home.Open(p)
	if err != nil {
		for _, s := range c.ProfileSources {
			facts <- oneFact{s.Name(), failed(err)}
		}
		return
	}
	defer done()
	for _, s := range c.ProfileSources {
		facts <- collected(s.Name(), func() (any, error) { return s.Collect(ctx, dir) })
	}
}

type oneFact struct {
	source string
	value  json.RawMessage
}

// gather returns what read has found when it returns, when ctx ends, or when one source takes
// longer than patience. Read finds at most one fact of each source. Another goroutine does the
// reading, and is left behind when it hangs: nothing interrupts a system call on a volume that
// does not answer.
func gather[S interface{ Name() string }](ctx context.Context, sources []S, patience time.Duration, read func(chan<- oneFact)) policy.Facts {
	facts := make(policy.Facts, len(sources))
	for _, s := range sources {
		facts[s.Name()] = json.RawMessage(`{"status":"timed_out"}`)
	}
	if ctx.Err() != nil {
		return facts
	}
	found := make(chan oneFact, len(sources)) // so that nobody waits to be asked
	go func() {
		defer close(found)
		read(found)
	}()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case f, more := <-found:
			if !more {
				return facts
			}
			facts[f.source] = f.value
			late.Reset(patience)
			continue
		case <-ctx.Done():
		case <-late.C:
		}
		for range len(found) {
			f := <-found
			facts[f.source] = f.value
		}
		return facts
	}
}

func failed(err error) json.RawMessage {
	value, _ := json.Marshal(map[string]string{"status": policy.StatusFailed, "error": err.Error()}) // texts
	return value
}

// collected runs one source. A panic is a failure of that source, so that one bad file does not
// affect other profiles.
func collected(source string, collect func() (any, error)) (f oneFact) {
	f.source = source
	defer func() {
		if r := recover(); r != nil {
			f.value = failed(fmt.Errorf("panic: %v", r))
		}
	}()
	value, err := collect()
	if err == nil {
		f.value, err = json.Marshal(value)
	}
	if err != nil {
		f.value = failed(err)
	}
	return f
}
