package view

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"hermes-reconcile/policy"
)

// A cause is a code and a reason that alarms have in common.
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

// A Cause is what some alarms are about. Alarms whose reasons differ in the name of the profile
// only have one cause.
type Cause struct {
	Code, Reason string
	Profiles     []string
}

// Causes returns the causes of alarms in their order.
func Causes(alarms []policy.Alarm) []Cause {
	alike := map[cause]int{}
	for _, a := range alarms {
		alike[of(a)]++
	}
	var causes []Cause
	at := map[cause]int{}
	for _, a := range alarms {
		c := of(a)
		if alike[c] == 1 {
			c.reason = a.Reason
		}
		if _, known := at[c]; !known {
			at[c] = len(causes)
			causes = append(causes, Cause{Code: c.code, Reason: c.reason})
		}
		if a.Profile != "" {
			causes[at[c]].Profiles = append(causes[at[c]].Profiles, a.Profile)
		}
	}
	return causes
}

// alarms prints a line for each cause.
func (s Screen) alarms(w io.Writer, alarms []policy.Alarm) {
	for _, c := range Causes(alarms) {
		who := policy.Few(c.Profiles)
		if n := len(c.Profiles); n > 3 {
			who = fmt.Sprintf("%d profiles (%s)", n, who)
		}
		s.say(w, "ALARM", "%s", strings.TrimPrefix(who+": "+c.Reason, ": "))
	}
}
