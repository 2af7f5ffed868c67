package ledger

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

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

// A Boot is what the ledger has of one pass for one profile.
type Boot struct {
	Container *Line // nil when its line is lost
	Profile   *Line // nil when the boot was skipped or had no such profile
}

// Boots returns the passes for a profile, oldest first. A command on a running container has no
// line for a profile that it left alone; such a pass is left out.
func (r Runs) Boots(profile string) []Boot {
	var boots []Boot
	for _, run := range r.Runs {
		b := Boot{Container: run.Container}
		if at := slices.IndexFunc(run.Profiles, func(l Line) bool { return l.Profile == profile }); at >= 0 {
			b.Profile = &run.Profiles[at]
		}
		if b.Profile != nil || b.Container != nil && b.IsBoot() {
			boots = append(boots, b)
		}
	}
	return boots
}

// IsBoot reports whether the pass was a boot, not a command on a running container.
func (b Boot) IsBoot() bool { return b.Line().Phase == policy.PhaseBoot }

// Line returns the profile's line, else the container's.
func (b Boot) Line() *Line {
	if b.Profile != nil {
		return b.Profile
	}
	return b.Container
}

// LastStart returns the newest pass that started the profile.
func LastStart(boots []Boot) (Boot, bool) {
	for _, b := range slices.Backward(boots) {
		if b.Profile != nil && b.Profile.Action == Started {
			return b, true
		}
	}
	return Boot{}, false
}

// ChangedSince names what differs between an older pass and a newer one: the image, the
// policy revision, and facts by name. The newer one may be made of the present facts. Boots
// without a profile do not differ.
func (b Boot) ChangedSince(old Boot) []string {
	changed := []string{}
	differ := func(what, was, is string) {
		if was != is {
			changed = append(changed, fmt.Sprintf("%s %s -> %s", what, cmp.Or(was, "none"), cmp.Or(is, "none")))
		}
	}
	was, is := old.Line(), b.Line()
	differ("image", was.Image, is.Image)
	if was.Policy.Revision != "" && is.Policy.Revision != "" { // else no rules were evaluated
		differ("policy revision", was.Policy.Revision, is.Policy.Revision)
	}
	if old.Profile != nil && b.Profile != nil {
		if facts := changedFacts(was.Facts, is.Facts); len(facts) > 0 {
			changed = append(changed, "facts of the profile: "+strings.Join(facts, ", "))
		}
	}
	if old.Container != nil && b.Container != nil {
		facts := changedFacts(old.Container.Facts, b.Container.Facts)
		if was.Image != is.Image {
			facts = slices.DeleteFunc(facts, func(name string) bool { return name == "image" }) // named above
		}
		if len(facts) > 0 {
			changed = append(changed, "facts of the container: "+strings.Join(facts, ", "))
		}
	}
	return changed
}

// changedFacts names the facts that both have and that differ.
func changedFacts(was, is map[string]string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if old, known := was[name]; known && old != is[name] {
			names = append(names, name)
		}
	}
	return names
}
