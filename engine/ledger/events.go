package ledger

import (
	"cmp"
	"fmt"

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

// addEvent adds the event of a line of so many bytes, and drops the oldest ones beyond the bounds.
func (r *runsReader) addEvent(l Line, size int) {
	event, ok := eventOf(l)
	if !ok || !r.asksFor(l.Profile) {
		return
	}
	event.size = size
	r.events, r.bytes = append(r.events, event), r.bytes+size
	for len(r.events) > r.query.Most || r.bytes > eventBytes {
		r.bytes -= r.events[0].size
		r.events[0] = Event{}
		r.events = r.events[1:]
	}
}
