package watch

import "time"

// A queue collects triggers until it is time to look. A trigger that never led to anything is
// listened to less and less, so that a file which changes all the time, or a gateway that
// dies again and again, does not keep the watch busy.
type queue struct {
	pending map[Trigger]time.Time // when each of them is due
	dull    map[Trigger]dullness
}

// A dullness is how often a trigger led to nothing.
type dullness struct {
	times int
	last  time.Time
}

// The limits of dullness.
const (
	freeLooks  = 3           // that lead to nothing, before a trigger has to wait
	dullFor    = time.Minute // without a trigger, or longer when it waits longer
	maxPending = 1000        // triggers; the agent can make any number of them

	longestPoke = 5 * time.Second // somebody may wait for an answer
)

func newQueue() *queue {
	return &queue{pending: map[Trigger]time.Time{}, dull: map[Trigger]dullness{}}
}

// add notes a trigger. It is due after debounce, or after at most resync when it is dull.
func (q *queue) add(t Trigger, now time.Time, debounce, resync time.Duration) {
	if len(q.pending) >= maxPending || len(q.dull) >= maxPending {
		t.Key = ""
	}
	if _, waits := q.pending[t]; waits {
		return
	}
	wait := debounce
	if d := q.dull[t]; d.times >= freeLooks {
		wait = min(time.Second<<min(d.times-freeLooks, 20), resync)
		if t.Kind == Poke {
			wait = min(wait, longestPoke)
		}
		if now.Sub(d.last) > max(dullFor, 2*wait) {
			delete(q.dull, t)
			wait = debounce
		}
	}
	q.pending[t] = now.Add(wait)
}

// due returns when the first trigger is due; zero is never.
func (q *queue) due() (first time.Time) {
	for _, at := range q.pending {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

// take empties the queue: a pass sees everything.
func (q *queue) take() (taken []Trigger) {
	for t := range q.pending {
		taken = append(taken, t)
	}
	clear(q.pending)
	return taken
}

// learn remembers whether the pass after these triggers changed something.
func (q *queue) learn(taken []Trigger, changed bool, now time.Time) {
	for _, t := range taken {
		if changed {
			delete(q.dull, t)
			continue
		}
		q.dull[t] = dullness{q.dull[t].times + 1, now}
	}
	for t, d := range q.dull {
		if now.Sub(d.last) > time.Hour {
			delete(q.dull, t)
		}
	}
}

// A Kind is where a trigger comes from.
type Kind string

// The kinds of triggers.
const (
	Started  Kind = "started"  // the watch itself begins
	Volume   Kind = "volume"   // a file in the home
	Slots    Kind = "slots"    // the scan directory, or a gateway that came up or ended
	Operator Kind = "operator" // rules, configuration, plug-ins, overrides, pauses
	Time     Kind = "time"     // a hold ends, or a rule wants to be asked again
	Bundles  Kind = "bundles"  // a fetched bundle that is another one than before
	Poke     Kind = "poke"     // somebody asks
	Resync   Kind = "resync"   // some time has passed
	Retry    Kind = "retry"    // something failed before
)

// A Trigger says look again.
type Trigger struct {
	Kind Kind
	Key  string // what changed: a profile, or a name of the source's own; may be empty
}
