package ledger

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hermes-reconcile/policy"
)

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
