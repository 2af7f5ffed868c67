package ledger

import (
	"maps"
	"slices"

	"hermes-reconcile/policy"
)

// A History is the ledger by profile. `log --output json` prints it.
type History struct {
	SchemaVersion policy.Version `json:"schema_version"`
	Entries       []Entry        `json:"entries"` // by profile, then oldest first
	Notes         []string       `json:"notes"`   // what could not be read
}

// An Entry is one pass for one profile. A pass that supervised nothing has an entry
// without a profile.
type Entry struct {
	Profile    string       `json:"profile,omitempty"`
	Boot       int          `json:"boot"` // 0 is the newest, -1 the one before; of a command: the boot before it
	Time       string       `json:"time"`
	Phase      string       `json:"phase"`
	Command    string       `json:"command,omitempty"` // that made the pass; absent at a boot
	BootID     string       `json:"boot_id,omitempty"` // of the kernel
	Image      string       `json:"image,omitempty"`
	Policy     string       `json:"policy"` // the revision
	Fallback   bool         `json:"fallback"`
	Action     string       `json:"action"`
	Code       string       `json:"code"`
	Reason     string       `json:"reason"`
	PriorState policy.Maybe `json:"prior_state"`
	PriorExit  policy.Maybe `json:"prior_exit"`
	Changed    []string     `json:"changed"` // since the entry above for the profile
}

// NewHistory returns the newest entries of each profile, at most so many. Runs should hold
// more, for the oldest entries to be compared with.
func NewHistory(runs Runs, most int) History {
	h := History{Entries: []Entry{}, Notes: append([]string{}, runs.Notes...)}
	before := map[string]Boot{}
	entries := map[string][]Entry{}
	boots := 0
	for _, run := range runs.Runs {
		if run.IsBoot() {
			boots++
		}
		lines := run.Profiles
		if len(lines) == 0 && run.Container != nil && run.Container.Action != Reconciled {
			lines = []Line{*run.Container}
		}
		for _, l := range lines {
			now := Boot{Container: run.Container}
			if l.Profile != "" {
				now.Profile = &l
			}
			entry := entryOf(l, boots)
			if old, ok := before[l.Profile]; ok {
				entry.Changed = changedBetween(old, now)
			}
			before[l.Profile] = now
			entries[l.Profile] = append(entries[l.Profile], entry)
		}
	}
	for _, profile := range slices.Sorted(maps.Keys(entries)) {
		of := entries[profile]
		for _, e := range of[max(0, len(of)-most):] {
			e.Boot -= boots
			h.Entries = append(h.Entries, e)
		}
	}
	return h
}

func entryOf(l Line, boot int) Entry {
	return Entry{
		Profile: l.Profile, Boot: boot, Time: l.Time, Phase: l.Phase, Command: l.Command, BootID: l.BootID, Image: l.Image,
		Policy: l.Policy.Revision, Fallback: l.Policy.Fallback, Action: l.Action, Code: l.Code, Reason: l.Reason,
		PriorState: policy.Maybe(l.PriorState), PriorExit: policy.Maybe(l.PriorExit), Changed: []string{},
	}
}

// changedBetween returns ChangedSince, and a text of its own when the outcome changed although
// nothing changed that the ledger records.
func changedBetween(old, now Boot) []string {
	changed := now.ChangedSince(old)
	was, is := old.Line(), now.Line()
	if len(changed) == 0 && is.Command == "" && (is.Action != was.Action || is.Code != was.Code) {
		changed = append(changed, "nothing that the ledger records")
	}
	return changed
}
