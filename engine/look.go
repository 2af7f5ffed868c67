package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"hermes-reconcile/policy"
)

// upcoming gives members of recheck their times, drops those whose time is over, and sorts
// the others by time.
func upcoming(rechecks []policy.Contribution, now policy.Now) (left []policy.Contribution) {
	for _, c := range rechecks {
		if c.At == "" {
			after := time.Unix(0, now.UnixNS).Add(time.Duration(c.AfterSeconds * float64(time.Second)))
			// A time that is written down without its fraction must not come too early.
			c.At, c.AfterSeconds = after.Add(time.Second-1).UTC().Format(time.RFC3339), 0
		}
		if timeOf(c.At).After(time.Unix(0, now.UnixNS)) {
			left = append(left, c)
		}
	}
	slices.SortStableFunc(left, func(a, b policy.Contribution) int { return timeOf(a.At).Compare(timeOf(b.At)) })
	return left
}

// timeOf returns a time that DecodeMember has checked.
func timeOf(text string) time.Time {
	t, _ := time.Parse(time.RFC3339, text)
	return t
}

// NextLook returns when decisions can change by time alone, and why: the earliest recheck, or
// the end of a hold that counts. The time is after now, which is that of the decisions: a time
// that has come while they were carried out wants a look at once.
func NextLook(d policy.Decisions, now policy.Now) (at time.Time, reason string, ok bool) {
	consider := func(t time.Time, why string) {
		if !ok || t.Before(at) {
			at, reason, ok = t, why, true
		}
	}
	for _, c := range upcoming(d.Recheck, now) {
		consider(timeOf(c.At), c.Reason)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Profiles)) {
		for _, c := range Holds(d.Profiles[name], now) {
			if c.Until != "" {
				consider(timeOf(c.Until), fmt.Sprintf("a hold of %s ends (%s)", name, cmp.Or(c.Code, c.Rule)))
			}
		}
	}
	return at, reason, ok
}
