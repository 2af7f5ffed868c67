package s6

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/rogpeppe/go-internal/diff"

	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/s6/scripts"
)

// describe finds out what changes in the files that differ. A file that cannot be read changes as
// a whole.
func (s *slotPlan) describe(dir beneath.Dir, files []beneath.File, differ []string) {
	for _, f := range files {
		if !slices.Contains(differ, f.Name) {
			continue
		}
		is, _ := dir.Read(f.Name)
		become := f.Content
		switch f.Name {
		case "run":
			said := differences("env", scripts.Environment(is), scripts.Environment(become))
			if len(said) == 0 && !bytes.Equal(is, become) {
				said = []string{"the command"}
			}
			s.said = append(s.said, said...)
			is, become = scripts.Shown(is, s.decision.Env), scripts.Shown(become, s.decision.Env)
		case scripts.MarkerName:
			s.said = append(s.said, "answers to deaths")
		}
		if s.Diff {
			name := s.slot + "/" + f.Name
			s.diff += string(diff.Diff(name, is, name+" (as decided)", become))
		}
	}
}

// differences says which names have come, gone, or have another value, sorted.
func differences(kind string, was, is map[string]string) (said []string) {
	all := maps.Clone(was)
	maps.Copy(all, is)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		before, existed := was[name]
		now, exists := is[name]
		switch {
		case !existed:
			said = append(said, fmt.Sprintf("%s %s added", kind, name))
		case !exists:
			said = append(said, fmt.Sprintf("%s %s removed", kind, name))
		case before != now:
			said = append(said, fmt.Sprintf("%s %s changed", kind, name))
		}
	}
	return said
}
