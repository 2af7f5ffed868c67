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
