package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hermes-reconcile/policy"
)

// CodeNobodyLeft is the code of the alarm about a token or a port whose claimants are all
// held, one of them for the sake of another.
const CodeNobodyLeft = "nobody_left"

// nobodyLeft raises that alarm. A profile is held for the sake of another by a package of
// policy.StageAfter, of which after has the names.
func nobodyLeft(in policy.Input, d policy.Decisions, after []string) (alarms []policy.Alarm) {
	if len(after) == 0 {
		return nil
	}
	claimants, free, yielded := map[string][]string{}, map[string]bool{}, map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(in.Profiles)) {
		holds := Holds(d.Profiles[name], in.Now)
		yields := slices.ContainsFunc(holds, func(c policy.Contribution) bool { return slices.Contains(after, c.Rule) })
		for _, thing := range policy.Claims(in.Profiles[name]) {
			claimants[thing] = append(claimants[thing], name)
			free[thing] = free[thing] || len(holds) == 0
			yielded[thing] = yielded[thing] || yields
		}
	}
	for _, thing := range slices.Sorted(maps.Keys(yielded)) {
		if yielded[thing] && !free[thing] {
			alarms = append(alarms, policy.Alarm{Code: CodeNobodyLeft, Reason: fmt.Sprintf("nobody uses %s: all that claim it are held (%s)", thing, strings.Join(claimants[thing], ", "))})
		}
	}
	return alarms
}
