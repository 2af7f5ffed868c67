package status

import (
	"cmp"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// expecting adds to a profile what will change by itself: its start after a wait, else the end
// of the last hold, or an earlier recheck of its own.
func (p Profile) expecting(name string, d policy.Decisions, now policy.Now) Profile {
	if !p.Until.IsZero() {
		p.Next, p.NextReason = p.Until, "starts"
		return p
	}
	for _, c := range engine.Holds(d.Profiles[name], now) {
		at, err := time.Parse(time.RFC3339, c.Until)
		if err != nil { // it has no end
			p.Next, p.NextReason = time.Time{}, ""
			break
		}
		if at.After(p.Next) {
			p.Next, p.NextReason = at.UTC(), "hold ends, "+cmp.Or(c.Code, c.Rule)
		}
	}
	for _, c := range d.Recheck {
		at, err := time.Parse(time.RFC3339, c.At)
		if err == nil && c.Profile == name && (p.Next.IsZero() || at.Before(p.Next)) {
			p.Next, p.NextReason = at.UTC(), "decided again, "+cmp.Or(c.Code, c.Reason)
		}
	}
	return p
}
