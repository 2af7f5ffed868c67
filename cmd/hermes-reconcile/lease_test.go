package main

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/engine/facts"
	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/engine/watch"
)

// The rules see what the watch remembers.
func TestTheMemoryIsTheFact(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m := watch.LeaseMemory{ID: "ours", HeldUnix: 1, LostUnix: 2, OtherID: "theirs", OtherSeenAt: 3, ChangedUnix: 4, Renewed: true}
	if err := m.Keep(dir); err != nil {
		t.Fatal(err)
	}
	if again, err := watch.ReadLeaseMemory(dir); err != nil || again != m {
		t.Errorf("read again: %+v, %v", again, err)
	}
	want := `{"status":"recorded","id":"ours","held_unix":1,"lost_unix":2,"other_id":"theirs","other_seen_at_unix":3,"changed_unix":4,"renewed":true}`
	for _, source := range facts.Builtin(facts.Config{RunDir: dir}).Container {
		if source.Name() != "own_lease" {
			continue
		}
		value, err := source.Collect(t.Context())
		if text, _ := json.Marshal(value); err != nil || string(text) != want {
			t.Errorf("the fact: %s, %v, want %s", text, err, want)
		}
	}
}

func TestLeaseSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hometest.Put(t, dir, "data/settings.yaml", "settings:\n  volume_owner_ttl_seconds: 60\n")
	for _, test := range []struct {
		why   string
		c     config.Config
		share bool
		ttl   time.Duration
	}{
		{"nothing is set", config.Config{}, false, 30 * time.Second},
		{"in the configuration", config.Config{Settings: map[string]any{"volume_owner_share": true, "volume_owner_ttl_seconds": 90}}, true, 90 * time.Second},
		{"in a policy directory", config.Config{Policy: []string{dir}}, false, time.Minute},
		{"out of range", config.Config{Settings: map[string]any{"volume_owner_share": "x", "volume_owner_ttl_seconds": 1}}, false, 30 * time.Second},
	} {
		if share, ttl := leaseSettings(test.c); share != test.share || ttl != test.ttl {
			t.Errorf("%s: %v, %v, want %v, %v", test.why, share, ttl, test.share, test.ttl)
		}
	}
}
