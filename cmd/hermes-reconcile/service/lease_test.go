package service

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine/facts/container"
	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
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
	if again, err := watch.Read[watch.LeaseMemory](dir, policy.LeaseMemoryFile); err != nil || again != m {
		t.Errorf("read again: %+v, %v", again, err)
	}
	want := `{"status":"recorded","id":"ours","held_unix":1,"lost_unix":2,"other_id":"theirs","other_seen_at_unix":3,"changed_unix":4,"renewed":true}`
	for _, source := range container.Sources(container.Config{RunDir: dir}) {
		if source.Name() != "own_lease" {
			continue
		}
		value, err := source.Collect(t.Context())
		if text, _ := json.Marshal(value); err != nil || string(text) != want {
			t.Errorf("the fact: %s, %v, want %s", text, err, want)
		}
	}
}

// The watch takes the lease as the rules that decided have it in their settings.
func TestLeaseSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hometest.Put(t, dir, "data/settings.yaml", "settings:\n  volume_owner_ttl_seconds: 60\n")
	for _, test := range []struct {
		why  string
		c    config.Config
		step watch.LeaseStep
		ttl  int
	}{
		{"nothing is set", config.Config{}, watch.LeaseTake, 30},
		{"in the configuration", config.Config{Settings: map[string]any{"volume_owner_share": true, "volume_owner_ttl_seconds": 90}}, watch.LeaseWait, 90},
		{"in a policy directory", config.Config{Policy: []string{dir}, Distrusted: "0:0"}, watch.LeaseTake, 60},
		{"out of range", config.Config{Settings: map[string]any{"volume_owner_ttl_seconds": 1}}, watch.LeaseTake, 30},
	} {
		rules := world.Rules(test.c)
		defer rules.Close()
		e, err := rules.LoadOrFallBack(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", test.why, err)
		}
		keeper, err := newLeaseKeeper(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		keeper.passed(reconcile.Report{Evaluator: e}, time.Now())
		if keeper.step != test.step || keeper.lease.TTL != test.ttl {
			t.Errorf("%s: %s for %d s, want %s for %d s", test.why, keeper.step, keeper.lease.TTL, test.step, test.ttl)
		}
	}
}

// What a watch remembers of the lease is written as soon as it can be.
func TestLeaseMemoryThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k, err := newLeaseKeeper(dir)
	s6test.Must(t, err)
	file := filepath.Join(dir, policy.LeaseMemoryFile)
	s6test.Must(t, os.Remove(file))
	s6test.Must(t, os.Mkdir(file, 0o755))
	next := k.memory
	next.HeldUnix = 7
	k.remember(next)
	if len(k.alarms()) != 1 || k.memory != next {
		t.Errorf("alarms %v, memory %+v", k.alarms(), k.memory)
	}
	s6test.Must(t, os.Remove(file))
	k.remember(next)
	if m, err := watch.Read[watch.LeaseMemory](dir, policy.LeaseMemoryFile); err != nil || m != next {
		t.Errorf("the file has %+v, %v, want %+v", m, err, next)
	}
}
