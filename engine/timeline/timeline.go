// Package timeline lays the ledger out in time: how each profile was from boot to boot until
// now, and when the image and the rules changed.
package timeline

import (
	"cmp"
	"math"
	"slices"
	"time"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
)

// A Timeline is the history of all profiles of a status until now.
type Timeline struct {
	Start    time.Time         `json:"start"`
	End      time.Time         `json:"end"`
	Boots    []time.Time       `json:"boots"`    // oldest first
	Marks    []Mark            `json:"marks"`    // oldest first
	Profiles map[string][]Span `json:"profiles"` // oldest first
}

// A Mark is a change for the whole container, at the pass that saw it first.
type Mark struct {
	Time time.Time `json:"time"`
	What string    `json:"what"` // image or policy
	Was  string    `json:"was"`
	Is   string    `json:"is"`
}

// A Span is a time in which a profile was the same. Between two passes it is what the first one
// left: only the last span says what has been seen to run.
type Span struct {
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	State  State     `json:"state"`
	Code   string    `json:"code"`
	Reason string    `json:"reason"`
	By     string    `json:"by,omitempty"` // the command that began it; empty: something else
}

// A State is how a profile is, in a word.
type State string

// The states.
const (
	Up      State = "up"
	Down    State = "down"
	Held    State = "held"
	Paused  State = "paused"
	Loop    State = "crash loop" // its gateway ends again and again, or is held because it did
	Unknown State = "not known"
)

// MostBoots is how many boots a timeline has, the newest.
const MostBoots = 30

// New lays out the runs of the newest boots, given oldest first. A run is left out if its time is
// not valid, or not between those of the run before and of the status.
func New(d *status.Document, runs []ledger.Run) Timeline {
	t := Timeline{Start: d.At.UTC(), End: d.At.UTC(), Boots: []time.Time{}, Marks: []Mark{}, Profiles: map[string][]Span{}}
	var last time.Time
	values := map[string]string{}
	for _, run := range newest(runs) {
		at, err := time.Parse(time.RFC3339, run.Time)
		if err != nil || at.Before(last) || at.After(t.End) {
			continue
		}
		last = at.UTC()
		if run.Container != nil {
			t.mark(values, last, "image", run.Container.Image)
			t.mark(values, last, "policy", run.Container.Policy.Revision)
		}
		t.add(last, run, d.Profiles)
	}
	for name, p := range d.Profiles {
		loops := slices.ContainsFunc(d.Alarms, func(a policy.Alarm) bool { return a.Profile == name && a.Code == status.CodeLoop })
		t.present(name, p, loops)
	}
	return t
}

func newest(runs []ledger.Run) []ledger.Run {
	boots := 0
	for i, run := range slices.Backward(runs) {
		if run.IsBoot() {
			boots++
		}
		if boots == MostBoots {
			return runs[i:]
		}
	}
	return runs
}

// mark adds a mark if something is not what it was. Empty is not known.
func (t *Timeline) mark(values map[string]string, at time.Time, what, is string) {
	was := values[what]
	if was != "" && is != "" && is != was {
		t.Marks = append(t.Marks, Mark{at, what, was, is})
	}
	values[what] = cmp.Or(is, was)
}

// add adds what a run did with the profiles that are known. What a boot does not name is not
// there any more.
func (t *Timeline) add(at time.Time, run ledger.Run, known map[string]status.Profile) {
	named := map[string]bool{}
	for _, l := range run.Profiles {
		if _, ok := known[l.Profile]; ok && !named[l.Profile] {
			named[l.Profile] = true
			isHeld := l.Code != policy.CodeNoStartRule && slices.ContainsFunc(l.Rules, func(c policy.Contribution) bool { return c.Set == policy.SetHold && c.Counts() })
			t.begin(l.Profile, Span{Start: at, State: stateOf(l.Action == ledger.Started, isHeld, l.Code), Code: l.Code, Reason: l.Reason, By: cmp.Or(l.Command, l.Phase)})
		}
	}
	if !run.IsBoot() {
		return
	}
	t.Boots = append(t.Boots, at)
	for name, spans := range t.Profiles {
		if last := &spans[len(spans)-1]; !named[name] && last.End.IsZero() {
			last.End = at
		}
	}
}

// begin ends the last span of a profile and begins another one, unless the last one goes on.
func (t *Timeline) begin(name string, s Span) {
	spans := t.Profiles[name]
	if len(spans) > 0 && spans[len(spans)-1].End.IsZero() {
		last := &spans[len(spans)-1]
		if last.State == s.State && last.Code == s.Code {
			return
		}
		last.End = s.Start
	}
	t.Profiles[name] = append(spans, s)
	if s.Start.Before(t.Start) {
		t.Start = s.Start
	}
}

// stateOf is how a decision leaves a profile.
func stateOf(up, held bool, code string) State {
	switch {
	case up:
		return Up
	case slices.Contains([]string{"budget_exhausted", "crash_hold", "fatal_exit"}, code):
		return Loop
	case code == "paused":
		return Paused
	case held:
		return Held
	}
	return Down
}

// present adds how a profile is now, and ends its history. The supervisor knows since when a
// gateway is up or down.
func (t *Timeline) present(name string, p status.Profile, loops bool) {
	s := Span{State: stateOf(p.Now == policy.NowUp, p.Held, p.Code), Code: p.Code, Reason: p.Reason, Start: t.End}
	switch {
	case loops:
		s.State = Loop
	case p.Now == policy.NowUnknown || p.Wanted == status.Unknown:
		s.State = Unknown
	}
	var last Span
	if spans := t.Profiles[name]; len(spans) > 0 {
		last = spans[len(spans)-1]
	}
	if last.State == s.State {
		s.Code = last.Code // it goes on, whatever decides now
	}
	if !p.Since.IsZero() && p.Since.After(last.Start) && p.Since.Before(t.End) {
		s.Start = p.Since
	}
	t.begin(name, s)
	spans := t.Profiles[name]
	spans[len(spans)-1].End = t.End
}

// Place returns where a time is between the start, 0, and the end, 1. From boot to boot the time
// runs evenly, and the longer it is the wider it is, by its logarithm: so short times can be seen
// beside long ones.
func (t Timeline) Place(at time.Time) float64 {
	var all, before float64
	begin := t.Start
	for _, end := range append(slices.Clone(t.Boots), t.End) {
		if !end.After(begin) {
			continue
		}
		width := 1 + math.Log2(1+end.Sub(begin).Hours())
		all += width
		switch {
		case !at.Before(end):
			before += width
		case at.After(begin):
			before += width * at.Sub(begin).Seconds() / end.Sub(begin).Seconds()
		}
		begin = end
	}
	if all == 0 {
		return 1
	}
	return before / all
}
