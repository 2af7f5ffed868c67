package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/policy"
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

// CheckNames returns an UnknownProfile for the first name that is none of the profiles.
func CheckNames(names, profiles []string) error {
	for _, name := range names {
		if !slices.Contains(profiles, name) {
			return &UnknownProfile{Name: name, Known: slices.Compact(slices.Sorted(slices.Values(profiles)))}
		}
	}
	return nil
}

// Only keeps the named profiles of a map, all of them without a name. Its error is an
// UnknownProfile.
func Only[T any](all map[string]T, names []string) (map[string]T, error) {
	if len(names) == 0 {
		return all, nil
	}
	if err := CheckNames(names, slices.Collect(maps.Keys(all))); err != nil {
		return nil, err
	}
	some := make(map[string]T, len(names))
	for _, name := range names {
		some[name] = all[name]
	}
	return some, nil
}

// CheckFactNames refuses an input document with facts that no source collects: rules look for
// the right name and would find nothing.
func CheckFactNames(in policy.Input, sources []fact.Source, profileSources []fact.ProfileSource) error {
	var container, profile []string
	for _, source := range sources {
		container = append(container, source.Name())
	}
	for _, source := range profileSources {
		profile = append(profile, source.Name())
	}
	var errs []error
	check := func(of, fact string, known []string) {
		if !slices.Contains(known, fact) {
			errs = append(errs, fmt.Errorf("%s: there is no fact %q%s", of, fact, suggest.Words(fact, known)))
		}
	}
	for _, fact := range slices.Sorted(maps.Keys(in.Container)) {
		check("container", fact, container)
	}
	// A mistake that all profiles share is reported once.
	first := map[string]string{}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(in.Profiles))) {
		for fact := range in.Profiles[name] {
			first[fact] = name
		}
	}
	for _, fact := range slices.Sorted(maps.Keys(first)) {
		check(fmt.Sprintf("profile %q", first[fact]), fact, profile)
	}
	return errors.Join(errs...)
}
