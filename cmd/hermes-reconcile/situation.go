package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/policy"
)

// A situation is what was found out, and how completely.
type situation struct {
	input policy.Input
	// volumeErr is why the facts about profiles are not complete; then a profile
	// that is not among them may exist all the same.
	volumeErr error
}

// collect gathers all facts: those about the container here, those on the volume
// at its side, both at once.
func collect(ctx context.Context, c config, side remote.Volume, phase string) situation {
	s := situation{input: policy.Input{
		SchemaVersion: policy.SchemaVersion,
		Phase:         phase,
		Now:           policy.NewNow(time.Now()),
		Profiles:      map[string]policy.Facts{},
	}}
	var onVolume policy.Facts
	var group sync.WaitGroup
	group.Go(func() {
		onVolume, s.volumeErr = side.Collect(ctx, func(profile string, facts policy.Facts) { s.input.Profiles[profile] = facts })
	})
	collector := engine.Collector{Sources: containerSources(c), SourceTimeout: c.Facts.SourceTimeout}
	container := collector.Container(ctx)
	group.Wait()
	// What the volume's side says runs under the agent's user: it adds facts and
	// replaces none.
	for name, value := range onVolume {
		if _, ours := container[name]; !ours {
			container[name] = value
		}
	}
	s.input.Container = container
	return s
}

// complete says whether every profile of the volume is in the input.
func (s situation) complete() bool {
	return s.volumeErr == nil && s.unlisted() == ""
}

// gone says whether a profile that is not in the input is gone, so that its slot may
// go too; and if not, why not. A directory of profiles that is not there at all is
// rather another volume, or none, than the end of all profiles.
func (s situation) gone() (why string, ok bool) {
	var dir struct{ Status string }
	switch {
	case s.volumeErr != nil:
		return s.volumeErr.Error(), false
	case s.unlisted() != "":
		return s.unlisted(), false
	case json.Unmarshal(s.input.Container["profiles_dir"], &dir) == nil && dir.Status == policy.StatusMissing:
		return "the directory profiles is not there", false
	}
	return "", true
}

// unlisted says why there may be profiles that nobody saw, or "".
func (s situation) unlisted() string {
	var dir struct {
		Status, Error string
		Entries       int
		Truncated     bool
	}
	if text, ok := s.input.Container["profiles_dir"]; !ok || json.Unmarshal(text, &dir) != nil {
		return ""
	}
	switch {
	case dir.Truncated:
		return fmt.Sprintf("the directory profiles has more entries than the %d that were looked at", dir.Entries)
	case dir.Status == policy.StatusUnreadable:
		return "the directory profiles cannot be listed: " + dir.Error
	}
	return ""
}

// openSide returns the volume's side for a command: as root a child under the
// unprivileged user, else this process.
func openSide(c config, phase string) (remote.Volume, error) {
	if os.Geteuid() != 0 {
		return remote.Open(sideSettings(c, phase))
	}
	return openChild(c, phase)
}

// openChild returns the volume's side as a child process, under the unprivileged
// user where we are root.
func openChild(c config, phase string) (remote.Volume, error) {
	s := sideSettings(c, phase)
	if s.OnlyRoot {
		u, err := lookupUser(c.User)
		if err != nil {
			return nil, err
		}
		s.User = &remote.User{UID: u.UID, GID: u.GID}
	}
	return remote.Start(s)
}

func sideSettings(c config, phase string) remote.Settings {
	return remote.Settings{
		Home: c.Home, Phase: phase, FactsDir: c.Facts.Dir, Timeout: c.Facts.Timeout, SourceTimeout: c.Facts.SourceTimeout,
		ExternalTimeout: c.Facts.ExternalTimeout, OperatorFiles: c.Facts.OperatorFiles,
		OnlyRoot: os.Geteuid() == 0,
	}
}

// only keeps the named profiles of a map. A name that is not there is an error
// that says which one was probably meant.
func only[T any](all map[string]T, names []string) (map[string]T, error) {
	if len(names) == 0 {
		return all, nil
	}
	some := make(map[string]T, len(names))
	for _, name := range names {
		value, ok := all[name]
		if !ok {
			return nil, &exitError{exitUsage, fmt.Errorf("no such profile %q%s", name, profileSuggestion(name, slices.Sorted(maps.Keys(all))))}
		}
		some[name] = value
	}
	return some, nil
}

// profileSuggestion is suggestion where there may be too many names to list.
func profileSuggestion(wrong string, names []string) string {
	if len(names) > 10 && nearest(wrong, names) == "" {
		return fmt.Sprintf(", there are %d others", len(names))
	}
	return suggestion(wrong, names)
}
