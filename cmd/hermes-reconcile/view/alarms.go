package view

import (
	"fmt"
	"io"
	"strings"

	"hermes-reconcile/policy"
)

// A cause is what alarms with one code and one reason have in common.
type cause struct{ code, reason string }

// of is the cause of an alarm, without the profile's name.
func of(a policy.Alarm) cause {
	if a.Profile == "" {
		return cause{a.Code, a.Reason}
	}
	return cause{a.Code, strings.ReplaceAll(a.Reason, a.Profile, "…")}
}

// alarms prints a line for each cause. Reasons that differ in the profile's name only are one.
func (s Screen) alarms(w io.Writer, alarms []policy.Alarm) {
	alike := map[cause]int{}
	for _, a := range alarms {
		alike[of(a)]++
	}
	var causes []cause
	about := map[cause][]string{}
	for _, a := range alarms {
		c := of(a)
		if alike[c] == 1 {
			c.reason = a.Reason
		}
		if _, known := about[c]; !known {
			causes, about[c] = append(causes, c), nil
		}
		if a.Profile != "" {
			about[c] = append(about[c], a.Profile)
		}
	}
	for _, c := range causes {
		who := policy.Few(about[c])
		if n := len(about[c]); n > 3 {
			who = fmt.Sprintf("%d profiles (%s)", n, who)
		}
		s.say(w, "ALARM", "%s", strings.TrimPrefix(who+": "+c.reason, ": "))
	}
}
