package status

import (
	"cmp"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// A Next is what will change by itself in a profile. A hold ends, and rules decide again, when
// somebody looks: the watch does then, without it the next apply or boot.
type Next struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	Code string    `json:"code,omitempty"` // of the hold or recheck
}

// The words of Next.What.
const (
	NextStart  = "starts"
	NextEnd    = "hold ends"
	NextDecide = "decided again"
)

// nextOf returns what will change first by itself in a profile; nil: nothing.
func nextOf(name string, p Profile, d policy.Decisions, now policy.Now) *Next {
	if at, err := time.Parse(time.RFC3339, p.Until); err == nil {
		return &Next{At: at, What: NextStart}
	}
	var next *Next
	if at, code, ok := engine.HoldsEnd(d.Profiles[name], now); ok {
		next = &Next{At: at.UTC(), What: NextEnd, Code: code}
		if p.asked {
			next.What = NextStart
		}
	}
	for _, c := range d.Recheck { // the earliest first
		if at, err := time.Parse(time.RFC3339, c.At); err == nil && c.Profile == name && (next == nil || at.Before(next.At)) {
			return &Next{At: at.UTC(), What: NextDecide, Code: cmp.Or(c.Code, c.Rule)}
		}
	}
	return next
}

// Upcoming reports whether a profile will change when somebody looks. s6 alone starts one that
// waits.
func (d *Document) Upcoming() bool {
	for _, p := range d.Profiles {
		if p.Next != nil && p.Now != policy.NowWaiting {
			return true
		}
	}
	return false
}

// Describe describes it at a time, in the zone of that time.
func (n Next) Describe(now time.Time) string {
	var when string
	switch at, wait := n.At.In(now.Location()), n.At.Sub(now); {
	case wait < time.Hour:
		when = "in " + Spell(wait)
	case at.YearDay() == now.YearDay() && wait < 24*time.Hour:
		when = at.Format("15:04")
	case wait < 6*24*time.Hour:
		when = at.Format("Mon 15:04")
	default:
		when = at.Format("2006-01-02 15:04")
	}
	return n.with(when)
}

// Exactly describes it with its absolute time.
func (n Next) Exactly() string { return n.with(n.At.Format(time.RFC3339)) }

func (n Next) with(when string) string {
	if n.Code == "" {
		return n.What + " " + when
	}
	return n.What + " " + when + ", " + n.Code
}
