package main

import (
	"slices"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// A bootRecord is what the ledger has of one boot for one profile.
type bootRecord struct {
	container *ledger.Line // nil where its line is lost
	profile   *ledger.Line // nil where the boot was skipped or the profile was not there
}

// bootsOf puts the lines of each boot and of each apply together, oldest first. An
// apply has no line of a profile that it left as it was, and is none of its runs then.
func bootsOf(lines []ledger.Line) []bootRecord {
	var boots []bootRecord
	for i := range lines {
		l := &lines[i]
		if l.Profile == "" {
			boots = append(boots, bootRecord{container: l})
			continue
		}
		last := len(boots) - 1
		if last >= 0 && boots[last].profile == nil && boots[last].container.Time == l.Time {
			boots[last].profile = l
			continue
		}
		boots = append(boots, bootRecord{profile: l})
	}
	return slices.DeleteFunc(boots, func(b bootRecord) bool { return b.profile == nil && !b.isBoot() })
}

// isBoot says that it was a boot, and no command on a running container.
func (b bootRecord) isBoot() bool { return b.line().Phase == policy.PhaseBoot }

// line is the one that says most.
func (b bootRecord) line() *ledger.Line {
	if b.profile != nil {
		return b.profile
	}
	return b.container
}

// lastStart returns the newest boot that started the profile.
func lastStart(boots []bootRecord) (bootRecord, bool) {
	for _, b := range slices.Backward(boots) {
		if b.profile != nil && b.profile.Action == actionWords[policy.ActionStart] {
			return b, true
		}
	}
	return bootRecord{}, false
}
