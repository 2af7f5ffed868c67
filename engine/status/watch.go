package status

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"time"

	"hermes-reconcile/engine/decisionlog"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
)

// WatchMisses is how many times of watch.resync may pass without a look of a watch that runs.
const WatchMisses = 3

// A Watch is the service that keeps a container what the rules say.
type Watch struct {
	Enabled    bool              `json:"enabled"` // as configured
	Slot       policy.Maybe      `json:"slot"`    // up, down, waiting, or not supervised
	Running    bool              `json:"running"` // it looked lately
	Problem    string            `json:"problem,omitempty"`
	Looked     time.Time         `json:"looked,omitzero"`
	Next       time.Time         `json:"next,omitzero"` // when the rules want to be asked again
	NextReason string            `json:"next_reason,omitempty"`
	NoEvents   map[string]string `json:"no_events,omitempty"` // why the kernel gives none, by kind of event

	exists bool      // there is a slot
	since  time.Time // it is up, as s6 says; zero: not known, or not up
}

// watchOf is how the slot of the watch is.
func watchOf(slots policy.Slots) (w Watch) {
	var slot policy.Slot
	if w.exists = slots.Watch != nil; w.exists {
		slot = *slots.Watch
	}
	if _, w.Slot = slots.Words(slot, w.exists); w.Slot == policy.NowUp && slot.SinceUnix > 0 {
		w.since = time.Unix(slot.SinceUnix, 0)
	}
	return w
}

// AddWatch adds what the watch itself has written, or the error of reading it, and the alarms
// that only the watch can know.
func (d *Document) AddWatch(enabled bool, resync time.Duration, s watch.State, err error) {
	w := &d.Watch
	w.Enabled, w.NextReason, w.NoEvents = enabled, s.NextReason, s.Events
	if s.LookedUnix > 0 {
		w.Looked = time.Unix(s.LookedUnix, 0).UTC()
	}
	if s.NextUnix > 0 {
		w.Next = time.Unix(s.NextUnix, 0).UTC()
	}
	seen := w.Looked
	if w.since.After(seen) { // it has just started
		seen = w.since
	}
	none := errors.Is(err, fs.ErrNotExist)
	w.Running = (err == nil || none) && d.At.Sub(seen) <= WatchMisses*resync
	switch {
	case w.Running:
		d.addNew(s.Alarms)
	case !enabled || none && !w.exists:
	case err != nil && !none:
		w.Problem = "its state cannot be read: " + err.Error()
	case seen.IsZero():
		w.Problem = w.how() + "has not looked yet"
	default:
		w.Problem = w.how() + "has not looked for " + Spell(d.At.Sub(seen))
	}
	if w.Problem != "" {
		d.Alarms = append(d.Alarms, policy.Alarm{Code: CodeWatch, Reason: "the service hermes-reconcile does not run: " + w.Problem})
	}
}

// AddBundles adds what the watch knows of the bundles that it fetches.
func (d *Document) AddBundles(known []policy.Bundle) {
	d.Policy.Bundles = slices.Clone(d.Policy.Bundles)
	for _, k := range known {
		at := slices.IndexFunc(d.Policy.Bundles, func(b policy.Bundle) bool { return b.Source == k.Source })
		if at < 0 { // other rules decide
			d.Policy.Bundles = append(d.Policy.Bundles, k)
			continue
		}
		b := &d.Policy.Bundles[at]
		b.Checked, b.Error, b.Refused, b.Why = k.Checked, k.Error, k.Refused, k.Why
		b.Waiting, b.OnTrial, b.RolledBack = k.Waiting, k.OnTrial, k.RolledBack
	}
}

// addNew adds the alarms that only a watch can know, if the status has none like them.
func (d *Document) addNew(alarms []policy.Alarm) {
	have := d.Alarms
	for _, a := range alarms {
		isLike := func(b policy.Alarm) bool { return b.Code == a.Code && b.Profile == a.Profile }
		if slices.Contains(watch.OwnCodes, a.Code) && !slices.ContainsFunc(have, isLike) {
			d.Alarms = append(d.Alarms, a)
		}
	}
}

// how describes the slot when it is not up.
func (w Watch) how() string {
	switch w.Slot {
	case policy.NowUp, policy.NowNothing, policy.NowUnknown:
		return ""
	}
	return string(w.Slot) + ", "
}

// Describe describes the watch at a time.
func (w Watch) Describe(now time.Time) string {
	switch {
	case w.Running && w.Looked.IsZero():
		return w.how() + "has just started"
	case w.Running:
		text := w.how() + "looked " + Spell(now.Sub(w.Looked)) + " ago"
		if !w.Next.IsZero() {
			text += ", next in " + Spell(w.Next.Sub(now)) + " (" + w.NextReason + ")"
		}
		return text
	case w.Problem != "":
		return "does not run"
	case !w.Enabled:
		return "no service (watch.enabled is false), so what is NEXT waits for apply or a boot"
	}
	return "no service"
}

// A DecisionLog is how the decision log goes since the container started.
type DecisionLog struct {
	Dropped  int       `json:"dropped"`           // events that nobody has
	Buffered int       `json:"buffered"`          // events that wait for the collector
	Uploaded time.Time `json:"uploaded,omitzero"` // last
	Problem  string    `json:"problem,omitempty"`
}

// AddDecisionLog adds what passes and the uploads of the watch have written of the decision
// log, or the error of reading it. Without a collector there are no uploads.
func (d *Document) AddDecisionLog(s decisionlog.State, u *watch.Uploads, err error) {
	l := DecisionLog{Dropped: s.Dropped, Problem: s.Problem}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.Problem = "its state cannot be read: " + err.Error()
	}
	if u != nil {
		l.Buffered, l.Problem = u.Buffered, cmp.Or(l.Problem, u.Problem)
		if u.UploadedUnix > 0 {
			l.Uploaded = time.Unix(u.UploadedUnix, 0).UTC()
		}
	}
	if d.DecisionLog = &l; l.Problem != "" {
		d.Alarms = append(d.Alarms, policy.Alarm{Code: codeLog, Reason: "the decision log is not complete: " + policy.Cut(l.Problem)})
	}
}
