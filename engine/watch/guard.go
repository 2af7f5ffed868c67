package watch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
)

// The codes of the alarms about what a watch leaves alone.
const (
	CodeContested = "contested" // somebody undoes what the watch does
	CodeMaxStops  = "max_stops" // a pass would stop too many gateways
)

// The limits of a change that somebody undoes.
const (
	contestedTimes  = 3
	contestedWithin = 10 * time.Minute
)

// A guard decides which operations of a plan a watch leaves out:
//
//   - a start that no changed decision asks for: the gateway was stopped by hand, or has ended
//     for good
//   - a stop that neither a changed decision nor a hold asks for: it was started by hand
//   - what somebody has undone several times
//   - what failed a moment ago
//   - stops, when there are too many of them
//   - the removal of its own slot
type guard struct {
	applied  map[string]Applied     // nil: what was applied before is not known
	done     map[change][]time.Time // when it was done
	failures map[string]failure     // by subject; "" is a whole pass
	decided  map[string]Applied
	accepted []string // profiles whose gateways an operator lets stop
	maxStops int      // -1: half of those that run, at least 2

	alone   map[string]bool // profiles for which the last plan was cut
	blocked []string        // profiles whose gateways the last plan did not stop, sorted
}

// A change is what an operation makes of the slot of a profile, whatever its cause.
type change struct{ profile, text string }

// A failure is what the last try for a profile was.
type failure struct {
	times int
	until time.Time // no other try before
}

func newGuard(applied map[string]Applied) *guard {
	return &guard{applied: applied, decided: map[string]Applied{}, done: map[change][]time.Time{}, failures: map[string]failure{}, maxStops: -1}
}

// changed reports whether the decision about a profile is another one than the last applied.
func (g *guard) changed(name string, d policy.Decision) bool {
	a, known := g.applied[name]
	return g.applied != nil && (!known || a.Action != d.Action)
}

// amend takes out of the plan of a pass what the watch leaves alone.
func (g *guard) amend(r *reconcile.Report, now time.Time) {
	g.alone, g.blocked = map[string]bool{}, nil
	g.forgetOld(now)
	for name, d := range r.Decisions.Profiles {
		is := Applied{d.Action, d.Code} // a hold may begin or end while the gateway is down
		if was, known := g.decided[name]; known && was != is {
			g.forget(name)
		}
		g.decided[name] = is
	}
	for name := range g.decided {
		if _, exists := r.Decisions.Profiles[name]; !exists {
			g.forget(name)
			delete(g.decided, name)
		}
	}
	kept := slices.DeleteFunc(slices.Clone(r.Plan.Operations), func(op policy.Operation) bool {
		return g.isFailing(op, now) || op.Op == policy.OpRemove && op.Slot == policy.WatchSlot
	})
	kept = g.withoutOldWishes(r, kept)
	kept = g.withoutContested(r, kept)
	kept = withoutVanished(r, kept)
	kept = g.withinStops(r, kept)
	if len(kept) < len(r.Plan.Operations) && !slices.ContainsFunc(kept, needsScan) {
		kept = slices.DeleteFunc(kept, func(op policy.Operation) bool { return op.Op == policy.OpRescan && r.Slots.Unsupervised() == 0 })
	}
	r.Plan.Operations = kept
}

// forget begins anew with a profile about which something else is decided.
func (g *guard) forget(name string) {
	delete(g.failures, name)
	maps.DeleteFunc(g.done, func(c change, _ []time.Time) bool { return c.profile == name })
}

// forgetOld forgets what was done long ago.
func (g *guard) forgetOld(now time.Time) {
	for c, times := range g.done {
		g.done[c] = slices.DeleteFunc(times, func(at time.Time) bool { return now.Sub(at) > contestedWithin })
	}
	maps.DeleteFunc(g.done, func(_ change, times []time.Time) bool { return len(times) == 0 })
}

func needsScan(op policy.Operation) bool {
	return op.Op == policy.OpPublish || op.Op == policy.OpRemove
}

// subject is whom a failure of an operation is about: its profile, or what it does for all.
// It is not the whole pass, which fails while the volume does not answer: a scan goes on.
func subject(op policy.Operation) string {
	return cmp.Or(op.Profile, string(op.Op)+" "+op.Slot)
}

// isFailing reports whether an operation waits because one for its profile has failed.
func (g *guard) isFailing(op policy.Operation, now time.Time) bool {
	waits := now.Before(g.failures[subject(op)].until)
	if waits {
		g.alone[op.Profile] = true
	}
	return waits
}

// withoutOldWishes leaves out the starts and stops that no changed decision asks for. A gateway
// whose slot is made or was not supervised starts, and one that is mended. A hold stops again and again.
func (g *guard) withoutOldWishes(r *reconcile.Report, operations []policy.Operation) []policy.Operation {
	fresh := map[string]bool{}
	for _, op := range operations {
		fresh[op.Profile] = fresh[op.Profile] || op.Op == policy.OpPublish
	}
	for name, slot := range r.Slots.ByProfile() {
		fresh[name] = fresh[name] || slot.Now() == policy.NowNobody || mended(r.Input.Profiles[name], slot)
	}
	pauses := policy.PausesOf(r.Input.Container).Profiles
	return slices.DeleteFunc(operations, func(op policy.Operation) bool {
		d := r.Decisions.Profiles[op.Profile]
		switch op.Op {
		case policy.OpBringUp:
			return !fresh[op.Profile] && !g.changed(op.Profile, d) || g.wasDown(op.Profile, pauses)
		case policy.OpBringDown:
			return !op.ThenUp && !g.changed(op.Profile, d) && len(engine.Holds(d, r.Input.Now)) == 0
		}
		return false
	})
}

// finishSeconds is how long s6 lets a finish script run, which records that a budget is used up.
const finishSeconds = 5

// mended reports whether a gateway that used up its budget is down since then, and the hold for
// it is over. A watch may not have looked while it counted.
func mended(profile policy.Facts, slot policy.Slot) bool {
	since, over := policy.EndedHold(profile)
	return over && !slot.Up && max(slot.SinceUnix-since, since-slot.SinceUnix) <= finishSeconds
}

// wasDown reports whether a pause is over before which the gateway was down.
func (g *guard) wasDown(name string, pauses map[string]policy.Pause) bool {
	pause, paused := pauses[name]
	return g.applied[name].Code == policy.CodePaused && paused && !pause.Up
}

// withoutContested leaves out what was done several times within a short time although
// nothing else was decided: somebody undoes it.
func (g *guard) withoutContested(r *reconcile.Report, operations []policy.Operation) []policy.Operation {
	return slices.DeleteFunc(operations, func(op policy.Operation) bool {
		times := len(g.done[changeOf(op)])
		if times < contestedTimes {
			return false
		}
		g.alone[op.Profile] = true
		r.Alarms = append(r.Alarms, policy.Alarm{Profile: op.Profile, Code: CodeContested, Reason: fmt.Sprintf(
			"%s %s was done %d times within %v, and somebody has undone it each time; it is left alone: find out who, or call hermes-reconcile apply",
			op.Op, op.Slot, times, contestedWithin)})
		return true
	})
}

// changeOf returns the change; it is empty if nothing can be undone.
func changeOf(op policy.Operation) change {
	switch op.Op {
	case policy.OpPublish, policy.OpUpdate, policy.OpMarkDown, policy.OpClearDown, policy.OpRemove, policy.OpBringDown:
	default:
		return change{}
	}
	op.Cause = ""
	text, err := json.Marshal(op)
	if err != nil || strings.HasPrefix(op.Slot, ".") {
		return change{}
	}
	return change{op.Profile, string(text)}
}

// withoutVanished leaves the slots of several profiles that are gone all at once, the last
// ones of the directory: a volume that is not mounted looks the same.
func withoutVanished(r *reconcile.Report, operations []policy.Operation) []policy.Operation {
	for name := range r.Input.Profiles {
		if _, unread := r.Input.Unread[name]; name != policy.RootProfile && !unread {
			return operations
		}
	}
	isGone := func(op policy.Operation) bool {
		_, decided := r.Decisions.Profiles[op.Profile]
		return op.Op == policy.OpRemove && op.Profile != "" && !decided
	}
	gone := slices.DeleteFunc(slices.Clone(operations), func(op policy.Operation) bool { return !isGone(op) })
	if len(gone) < 2 {
		return operations
	}
	r.Alarms = append(r.Alarms, policy.Alarm{Code: engine.CodeVolume, Reason: fmt.Sprintf(
		"the directory profiles is empty, and %d slots of profiles stay: mount the volume, or call hermes-reconcile apply if the profiles are gone", len(gone))})
	return slices.DeleteFunc(operations, isGone)
}

// codeVolumeOwned is the code of the hold by which a container gives up its gateways to
// another one.
const codeVolumeOwned = "volume_owned"

// orders are the codes of holds that stop gateways however many they are.
var orders = []string{codeVolumeOwned, policy.CodePaused}

// withinStops leaves out all stops when there are more than the limit.
func (g *guard) withinStops(r *reconcile.Report, operations []policy.Operation) []policy.Operation {
	slots := r.Slots.ByProfile()
	running := 0
	for _, slot := range slots {
		if slot.Up {
			running++
		}
	}
	limit := g.maxStops
	if limit < 0 {
		limit = max(2, running/2)
	}
	stops := map[string]bool{}
	for _, op := range operations {
		isStop := op.Op == policy.OpRemove || op.Op == policy.OpBringDown && !op.ThenUp
		if isStop && slots[op.Profile].Up && !slices.Contains(orders, r.Decisions.Profiles[op.Profile].Code) {
			stops[op.Profile] = true
		}
	}
	names := slices.Sorted(maps.Keys(stops))
	isAccepted := !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(g.accepted, name) })
	if len(names) <= limit || isAccepted {
		return operations
	}
	g.blocked = names
	for _, name := range names {
		g.alone[name] = true
	}
	r.Alarms = append(r.Alarms, policy.Alarm{Code: CodeMaxStops, Reason: fmt.Sprintf(
		"%d of %d gateways would be stopped, more than %d (watch.max_stops), so none is: %s; if they are to stop, call hermes-reconcile apply or hermes-reconcile watch --accept",
		len(names), running, limit, policy.Few(names))})
	return slices.DeleteFunc(operations, func(op policy.Operation) bool { return stops[op.Profile] })
}

// The pauses after a failure: each is twice as long as the one before.
const (
	firstPause = time.Second
	maxPause   = 5 * time.Minute
)

// learn remembers how a pass ended. The error is that of the pass.
func (g *guard) learn(r reconcile.Report, err error, now time.Time) {
	failed := map[string]bool{"": err != nil || r.PlanErr != nil || r.VolumeErr != nil}
	tried := map[string]bool{"": true}
	slots := r.Slots.ByProfile()
	for _, result := range r.Results {
		op := result.Operation
		tried[subject(op)] = true
		failed[subject(op)] = failed[subject(op)] || result.Err != nil
		stillStops := op.Op == policy.OpBringDown && !slots[op.Profile].WantedUp
		if c := changeOf(op); result.Done && c != (change{}) && !stillStops {
			g.done[c] = append(g.done[c], now)
		}
	}
	for name := range tried {
		f := g.failures[name]
		switch {
		case !failed[name] && now.Before(f.until):
		case !failed[name]:
			delete(g.failures, name)
		default:
			pause := min(maxPause, firstPause<<min(f.times, 20))
			f.times, f.until = f.times+1, now.Add(time.Duration(float64(pause)*(0.8+0.4*rand.Float64())))
			g.failures[name] = f
		}
	}
	// What was not tried again is right by now.
	maps.DeleteFunc(g.failures, func(name string, f failure) bool { return !tried[name] && !now.Before(f.until) })
}

// retry returns when the next pause after a failure ends.
func (g *guard) retry() (next time.Time) {
	for _, f := range g.failures {
		if next.IsZero() || f.until.Before(next) {
			next = f.until
		}
	}
	return next
}
