package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"hermes-reconcile/policy"
)

// An Event is what one pass did with a profile, and why.
type Event struct {
	SchemaVersion policy.Version `json:"schema_version"`
	Time          string         `json:"time"`
	Profile       string         `json:"profile,omitempty"` // empty: the container
	Done          []string       `json:"done"`              // a few words for each step, in order
	Code          string         `json:"code"`
	Reason        string         `json:"reason"`
	Command       string         `json:"command"`         // "boot" at a boot
	Cause         []string       `json:"cause,omitempty"` // of a pass of the watch: its triggers

	size int // of its line, in bytes
}

// doneWords say what an operation did. The others are no events.
var doneWords = map[policy.Op]string{
	policy.OpPublish: "slot made", policy.OpUpdate: "slot changed", policy.OpRemove: "slot removed",
	policy.OpMarkDown: "down file made", policy.OpClearDown: "down file removed",
	policy.OpBringUp: "started", policy.OpBringDown: "stopped", policy.OpSeed: "state recorded",
}

// eventOf returns the event of a line; not ok means that nothing was done.
func eventOf(l Line) (e Event, ok bool) {
	e = Event{Time: l.Time, Profile: l.Profile, Code: l.Code, Reason: l.Reason, Command: cmp.Or(l.Command, l.Phase), Cause: l.Cause}
	for _, o := range l.Operations {
		word := doneWords[o.Op]
		switch {
		case o.Error != "":
			word = fmt.Sprintf("%s failed: %s", o.Op, o.Error)
		case !o.Done:
			word = ""
		case o.Op == policy.OpSweep:
			word = "swept " + o.File
		}
		if word != "" {
			e.Done = append(e.Done, word)
		}
	}
	return e, len(e.Done) > 0
}

// eventBytes bounds the lines whose events are held.
const eventBytes = 16 << 20

// readEvents reads both ledgers from the places of the query, and returns the newest events,
// oldest first.
func readEvents(home policy.Directory, r *runsReader) Runs {
	all := Runs{Places: map[string]Place{}}
	for _, name := range []string{Name, WatchName} {
		var found []Event
		held := 0
		place, notes := scan(home, name, r.query.After[name], func(text []byte) bool {
			l, ok := parseLine(text)
			if !ok {
				return false
			}
			r.addName(l.Profile)
			event, ok := eventOf(l)
			if !ok || !r.asksFor(l.Profile) {
				return true
			}
			event.size = len(text)
			found, held = append(found, event), held+event.size
			for len(found) > r.query.Most || held > eventBytes {
				held -= found[0].size
				found[0] = Event{}
				found = found[1:]
			}
			return true
		})
		all.Places[name] = place
		all.Events, all.Notes = append(all.Events, found...), append(all.Notes, notes...)
	}
	slices.SortStableFunc(all.Events, func(a, b Event) int { return cmp.Compare(a.Time, b.Time) })
	all.Events = all.Events[max(0, len(all.Events)-r.query.Most):]
	return all
}
