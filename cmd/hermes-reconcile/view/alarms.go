package view

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"hermes-reconcile/policy"
)

// A cause is what alarms with one code and one reason have in common.
type cause struct{ code, reason string }

// of is the cause of an alarm, without the profile's name.
func of(a policy.Alarm) cause {
	if a.Profile == "" {
		return cause{a.Code, a.Reason}
	}
	parts := strings.Split(a.Reason, a.Profile)
	text := parts[0]
	for i, part := range parts[1:] {
		before, _ := utf8.DecodeLastRuneInString(parts[i])
		after, _ := utf8.DecodeRuneInString(part)
		if unicode.IsLetter(before) || unicode.IsLetter(after) { // a short name stands in other words too
			text += a.Profile + part
		} else {
			text += "…" + part
		}
	}
	return cause{a.Code, text}
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
