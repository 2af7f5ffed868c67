package engine

import (
	"fmt"
	"maps"
	"slices"

	"hermes-reconcile/policy/suggest"
)

// An UnknownProfile is the error about a requested name that no profile has.
type UnknownProfile struct {
	Name  string
	Known []string // the names of the profiles, sorted
}

func (e *UnknownProfile) Error() string {
	return fmt.Sprintf("no such profile %q%s", e.Name, suggest.Few(e.Name, e.Known))
}

// Only keeps the named profiles of a map, all of them without a name. Its error is an
// UnknownProfile.
func Only[T any](all map[string]T, names []string) (map[string]T, error) {
	if len(names) == 0 {
		return all, nil
	}
	some := make(map[string]T, len(names))
	for _, name := range names {
		value, ok := all[name]
		if !ok {
			return nil, &UnknownProfile{Name: name, Known: slices.Sorted(maps.Keys(all))}
		}
		some[name] = value
	}
	return some, nil
}
