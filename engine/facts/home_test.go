package facts

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/engine/volume"
)

// now is the time in all tests.
var now = time.Date(2026, 11, 22, 6, 0, 11, 0, time.UTC)

// newHome opens a home that hometest.New makes.
func newHome(t testing.TB, files map[string]string) *volume.Home {
	t.Helper()
	h, err := volume.Open(hometest.New(t, files))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// configFor returns settings in which only /proc is of this machine.
func configFor(t testing.TB, h *volume.Home) Config {
	empty := t.TempDir()
	return Config{
		Home: h.Path(), Root: h.Root(), ProfilesDir: h.ProfilesDir,
		EnvDir: empty, Environ: []string{}, ManagedDir: empty,
		Now: func() time.Time { return now },
	}.withDefaults()
}

// collectedFor returns the value of a fact about a profile as JSON.
func collectedFor(t testing.TB, s fact.ProfileSource, h *volume.Home, profile string) map[string]any {
	t.Helper()
	profiles, err := h.Profiles(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range profiles {
		if p.Name != profile {
			continue
		}
		dir, done, err := h.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		value, err := s.Collect(context.Background(), dir)
		if err != nil {
			t.Fatalf("%s: %v", s.Name(), err)
		}
		return facttest.Check(t, facttest.Profile, s.Name(), value)
	}
	t.Fatalf("there is no profile %q", profile)
	return nil
}

// containerSource returns a built-in source by name.
func containerSource(t testing.TB, c Config, name string) fact.Source {
	t.Helper()
	for _, s := range Builtin(c).Volume {
		if s.Name() == name {
			return s
		}
	}
	t.Fatalf("there is no source %q", name)
	return fact.Source{}
}

// profileSource returns a built-in source by name.
func profileSource(t testing.TB, c Config, name string) fact.ProfileSource {
	t.Helper()
	for _, s := range Builtin(c).Profile {
		if s.Name() == name {
			return s
		}
	}
	t.Fatalf("there is no profile source %q", name)
	return fact.ProfileSource{}
}

// A profileCase is a file of a profile and the fact that a source reads from it.
type profileCase struct {
	name  string
	files map[string]string
	want  map[string]string // path of keys, joined by / -> JSON value
}

// checkProfiles runs a table for one source.
func checkProfiles(t *testing.T, source string, cases []profileCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{"profiles/coder/": ""}
			for name, text := range c.files {
				files["profiles/coder/"+name] = text
			}
			h := newHome(t, files)
			fact := collectedFor(t, profileSource(t, configFor(t, h), source), h, "coder")
			for keys, want := range c.want {
				if got := facttest.Get(fact, strings.Split(keys, "/")...); got != want {
					t.Errorf("%s of %s is %s, want %s", keys, source, got, want)
				}
			}
			if t.Failed() {
				text, _ := json.MarshalIndent(fact, "", "  ")
				t.Logf("%s: %s", source, text)
			}
		})
	}
}
