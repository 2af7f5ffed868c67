package facts

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

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
		EnvDir: empty, Environ: []string{}, Cgroup: empty, Tmp: empty,
		CodeDir: empty, ManagedDir: empty, Provenance: filepath.Join(empty, "provenance"), RunDir: empty,
		Now: func() time.Time { return now },
	}.withDefaults()
}

// collected returns the value of a fact about the container as JSON.
func collected(t testing.TB, s Source) map[string]any {
	t.Helper()
	value, err := s.Collect(context.Background())
	return checked(t, s.Name(), s.Schema(), value, err)
}

// collectedFor returns the value of a fact about a profile as JSON.
func collectedFor(t testing.TB, s ProfileSource, h *volume.Home, profile string) map[string]any {
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
		return checked(t, s.Name(), s.Schema(), value, err)
	}
	t.Fatalf("there is no profile %q", profile)
	return nil
}

// checked validates a value against the schema of its source.
func checked(t testing.TB, name, schema string, value any, err error) map[string]any {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := compiled(t, name, schema).Validate(instance); err != nil {
		t.Errorf("%s: %s\n%v", name, text, err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil || object["status"] == "" || object["status"] == nil {
		t.Errorf("%s: %s has no status", name, text)
	}
	return object
}

var schemas = map[string]*jsonschema.Schema{}

func compiled(t testing.TB, name, text string) *jsonschema.Schema {
	t.Helper()
	if s, ok := schemas[text]; ok {
		return s
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("schema of %s: %v", name, err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(name+".json", document); err != nil {
		t.Fatalf("schema of %s: %v", name, err)
	}
	s, err := compiler.Compile(name + ".json")
	if err != nil {
		t.Fatalf("schema of %s: %v", name, err)
	}
	schemas[text] = s
	return s
}

// get follows keys into a fact and returns the value as JSON.
func get(fact map[string]any, keys ...string) string {
	var at any = fact
	for _, key := range keys {
		m, ok := at.(map[string]any)
		if !ok {
			return "absent"
		}
		if at, ok = m[key]; !ok {
			return "absent"
		}
	}
	text, err := json.Marshal(at)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// profileSource returns a built-in source by name.
func profileSource(t testing.TB, c Config, name string) ProfileSource {
	t.Helper()
	for _, s := range Builtin(c).Profile {
		if s.Name() == name {
			return s
		}
	}
	t.Fatalf("there is no profile source %q", name)
	return ProfileSource{}
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
				if got := get(fact, strings.Split(keys, "/")...); got != want {
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
