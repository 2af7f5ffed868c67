package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/volume"
	"hermes-reconcile/policy"
)

// probe is a source whose answer the test chooses.
type probe struct {
	name    string
	collect func(ctx context.Context, profile string) (any, error)
}

func containerProbe(p probe) fact.Source {
	return fact.New(p.name, `{"properties": {"value": {"type": "string"}}}`, func(ctx context.Context) (any, error) { return p.collect(ctx, "") })
}

func profileProbe(p probe) fact.ProfileSource {
	source := fact.OfProfile[struct {
		Value string `json:"value"`
	}](p.name, fact.ByAgent, "", nil)
	source.Collect = func(ctx context.Context, dir policy.Directory) (any, error) {
		return p.collect(ctx, dir.Profile().Name)
	}
	return source
}

// hang blocks until the test ends, like a volume that does not answer.
func hang(t *testing.T) func(context.Context, string) (any, error) {
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	return func(context.Context, string) (any, error) {
		<-over
		return nil, nil
	}
}

func answer(value any, err error) func(context.Context, string) (any, error) {
	return func(context.Context, string) (any, error) { return value, err }
}

func wantFact(t *testing.T, facts policy.Facts, name, want string) {
	t.Helper()
	if got := string(facts[name]); got != want {
		t.Errorf("fact %s is %s, want %s", name, got, want)
	}
}

// A source that fails does not affect the facts of other sources.
func TestASourceThatDoesNotWorkIsAFact(t *testing.T) {
	c := Collector{SourceTimeout: 50 * time.Millisecond, Sources: []fact.Source{
		containerProbe(probe{"good", answer(map[string]string{"status": "recorded"}, nil)}),
		containerProbe(probe{"fails", answer(nil, errors.New("no way"))}),
		containerProbe(probe{"panics", func(context.Context, string) (any, error) { panic("oh") }}),
		containerProbe(probe{"unprintable", answer(make(chan int), nil)}),
		containerProbe(probe{"hangs", hang(t)}),
	}}
	facts := c.Container(t.Context())
	wantFact(t, facts, "good", `{"status":"recorded"}`)
	wantFact(t, facts, "fails", `{"error":"no way","status":"failed"}`)
	wantFact(t, facts, "panics", `{"error":"panic: oh","status":"failed"}`)
	wantFact(t, facts, "hangs", `{"status":"timed_out"}`)
	if !strings.Contains(string(facts["unprintable"]), `"failed"`) {
		t.Errorf("unprintable is %s", facts["unprintable"])
	}
}

// collectProfiles collects over a real home with three profiles.
func collectProfiles(t *testing.T, ctx context.Context, timeout time.Duration, sources ...fact.ProfileSource) map[string]policy.Facts {
	t.Helper()
	dir := t.TempDir()
	home, err := volume.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { home.Close() })
	mkdirs(t, dir, "profiles/coder", "profiles/writer")
	var mu sync.Mutex
	all := map[string]policy.Facts{}
	c := Collector{Home: home, ProfileSources: sources, SourceTimeout: timeout}
	if err := c.Profiles(ctx, func(name string, facts policy.Facts) {
		mu.Lock()
		defer mu.Unlock()
		all[name] = facts
	}); err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 {
		t.Fatalf("facts about %d profiles, want 3", len(all))
	}
	return all
}

// A profile that hangs affects only itself: sources that ran before answered, and the other
// profiles are complete.
func TestAProfileThatHangsStopsNoOther(t *testing.T) {
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	slow := func(_ context.Context, profile string) (any, error) {
		if profile == "coder" {
			<-over
		}
		return map[string]string{"status": "recorded"}, nil
	}
	all := collectProfiles(t, t.Context(), 100*time.Millisecond,
		profileProbe(probe{"first", answer(map[string]string{"status": "recorded"}, nil)}),
		profileProbe(probe{"slow", slow}),
		profileProbe(probe{"last", answer(map[string]string{"status": "recorded"}, nil)}),
	)
	wantFact(t, all["coder"], "first", `{"status":"recorded"}`)
	wantFact(t, all["coder"], "slow", `{"status":"timed_out"}`)
	wantFact(t, all["coder"], "last", `{"status":"timed_out"}`)
	for _, name := range []string{"default", "writer"} {
		for _, fact := range []string{"first", "slow", "last"} {
			wantFact(t, all[name], fact, `{"status":"recorded"}`)
		}
	}
}

// When the total time is over, every profile is still in the document.
func TestTheTimeForEverything(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	all := collectProfiles(t, ctx, time.Hour, profileProbe(probe{"hangs", hang(t)}))
	for name := range all {
		wantFact(t, all[name], "hangs", `{"status":"timed_out"}`)
	}
}

func mkdirs(t *testing.T, base string, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
