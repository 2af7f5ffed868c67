package view

import (
	"fmt"
	"regexp"
	"strings"

	"hermes-reconcile/policy"
)

// A cause is one alarm, or the same alarm about many profiles.
type cause struct {
	reason   string
	profiles []string
}

// own matches the words of a reason that may be the profile's own.
var own = regexp.MustCompile(`\b(pid|restarts) [0-9]+|[^][\s:,;()"'/]+`)

// causesOf groups alarms with the same code and the same reason, but for the profile's name,
// pids and counts of restarts.
func causesOf(alarms []policy.Alarm) (causes []*cause) {
	type key struct {
		code, reason string
		ofContainer  bool
	}
	known := map[key]*cause{}
	for _, a := range alarms {
		general := generalised(a)
		k := key{a.Code, general, a.Profile == ""}
		if known[k] == nil {
			known[k] = &cause{reason: a.Reason}
			causes = append(causes, known[k])
		}
		if k.ofContainer {
			continue
		}
		c := known[k]
		if c.profiles = append(c.profiles, a.Profile); len(c.profiles) > 1 {
			c.reason = general
		}
	}
	return causes
}

// generalised is the reason of an alarm without what only its profile has.
func generalised(a policy.Alarm) string {
	return own.ReplaceAllStringFunc(a.Reason, func(word string) string {
		number, _, isNumber := strings.Cut(word, " ")
		switch {
		case isNumber:
			return number + " …"
		case word == a.Profile, word == "gateway-"+a.Profile:
			return strings.TrimSuffix(word, a.Profile) + "…"
		}
		return word
	})
}

// String counts the profiles, and names some.
func (c cause) String() string {
	switch len(c.profiles) {
	case 0:
		return c.reason
	case 1, 2, 3:
		return strings.Join(c.profiles, ", ") + ": " + c.reason
	}
	return fmt.Sprintf("%d profiles (%s): %s", len(c.profiles), policy.Few(c.profiles), c.reason)
}
