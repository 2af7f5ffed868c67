package explain

import (
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// A Boot is what the ledger has of one pass for the profile.
type Boot struct {
	Time     string `json:"time"`
	Command  string `json:"command,omitempty"` // absent at a boot
	BootID   string `json:"boot_id,omitempty"`
	Action   string `json:"action"` // "started", "registered", "skipped", "failed" or "absent"
	Code     string `json:"code"`
	Reason   string `json:"reason"`
	Policy   string `json:"policy"` // the revision
	Fallback bool   `json:"fallback"`
	Image    string `json:"image,omitempty"`
}

// history adds what the ledger knows.
func (s Subject) history(e *Explanation) {
	e.Changed = []string{}
	for _, b := range s.Boots {
		if b.IsBoot() {
			e.Boots++
			e.LastBoot = bootOf(b)
		}
	}
	good, ok := ledger.LastStart(s.Boots)
	if !ok {
		return
	}
	e.LastGood = bootOf(good)
	e.Changed = s.present().ChangedSince(good)
}

// present is the situation as the ledger would record it now.
func (s Subject) present() ledger.Boot {
	line := ledger.Line{Image: policy.ImageVersion(s.Situation.Input.Container), Policy: s.Decisions.Policy}
	profile, container := line, line
	profile.Facts = ledger.FactDigests(s.Situation.Input.Profiles[s.Profile])
	container.Facts = ledger.FactDigests(s.Situation.Input.Container)
	return ledger.Boot{Profile: &profile, Container: &container}
}

func bootOf(b ledger.Boot) *Boot {
	l := b.Line()
	v := &Boot{
		Time: l.Time, Command: l.Command, BootID: l.BootID, Action: l.Action, Code: l.Code, Reason: l.Reason,
		Policy: l.Policy.Revision, Fallback: l.Policy.Fallback, Image: l.Image,
	}
	if b.Profile == nil && l.Action == ledger.Reconciled {
		v.Action, v.Code, v.Reason = "absent", "absent", "the boot had no such profile"
	}
	return v
}
