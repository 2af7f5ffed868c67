package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/volume"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
)

// watchedChild starts a child on a home with files, which has told of all its profiles. The
// profile zz is for told.
func watchedChild(t *testing.T, files map[string]string) *Child {
	t.Helper()
	v := startChild(t, Settings{OperatorFiles: []string{".night"}})
	for name, text := range files {
		hometest.Put(t, v.settings.Home, name, text)
	}
	hometest.Put(t, v.settings.Home, "profiles/zz/SOUL.md", "")
	keysUntil(t, v, "zz")
	told(t, v) // of what is in the home and sorts after it
	return v
}

// keysUntil returns the keys of the changes until the last one was among them, sorted.
func keysUntil(t *testing.T, v *Child, last ...string) (keys []string) {
	t.Helper()
	for _, key := range last {
		for !slices.Contains(keys, key) {
			more, err := v.Events(t.Context(), 20*time.Second)
			if err != nil || len(more) == 0 {
				t.Fatalf("Events: %q, %v after %q, want %q too", more, err, keys, key)
			}
			keys = append(keys, more...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// told makes a change of the profile zz, and returns the keys of the changes before it.
func told(t *testing.T, v *Child) []string {
	t.Helper()
	file := filepath.Join(v.settings.Home, "profiles/zz/SOUL.md")
	info, err := os.Stat(file)
	if err == nil {
		err = os.Chmod(file, info.Mode()^0o001)
	}
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(keysUntil(t, v, "zz"), func(key string) bool { return key == "zz" })
}

func TestEvents(t *testing.T) {
	t.Parallel()
	v := watchedChild(t, map[string]string{
		"profiles/coder/SOUL.md": "x", "profiles/coder/gateway_state.json": `{"desired_state":"running"}`, "profiles/writer/SOUL.md": "x", "state/": "", "logs/": "",
	})
	home := v.settings.Home
	at := func(name string) string { return filepath.Join(home, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// As a gateway writes: a file appears at once.
	put := func(name, text string) func() {
		return func() {
			hometest.Put(t, home, "temp/"+name, text)
			if filepath.Dir(name) != "." {
				must(os.MkdirAll(filepath.Dir(at(name)), 0o755))
			}
			must(os.Rename(at("temp/"+name), at(name)))
		}
	}
	for _, test := range []struct {
		why  string
		do   func()
		want []string
	}{
		{"nothing", func() {}, nil},
		{"a new profile", put("profiles/new/SOUL.md", "x"), []string{"new"}},
		{"a file of the new profile", put("profiles/new/.env", "A=b"), []string{"new"}},
		{"a link in the place of a profile", put("profiles/linked", "-> coder"), []string{"linked"}},
		{"what the agent may call a profile", put("profiles/\x1b]0;x/SOUL.md", "x"), []string{policy.ProfileName("\x1b]0;x")}},
		{"a profile that has the name of the root profile", put("profiles/default/SOUL.md", "x"), []string{"profiles/default"}},
		{"another intent", put("profiles/coder/gateway_state.json", `{"desired_state":"stopped"}`), []string{"coder"}},
		{"the counters of a gateway at work", put("profiles/coder/gateway_state.json", `{"desired_state":"stopped","active_agents":3,"updated_at":7}`), nil},
		{"another state", put("profiles/coder/gateway_state.json", `{"desired_state":"stopped","gateway_state":"draining"}`), []string{"coder"}},
		{"no state file", func() { must(os.Remove(at("profiles/coder/gateway_state.json"))) }, []string{"coder"}},
		{"an operator's file", func() { hometest.Put(t, home, "profiles/coder/.night", "") }, []string{"coder"}},
		{"a hold in a new directory", put("profiles/coder/state/reconcile.hold.json", "{}"), []string{"coder"}},
		{"the end of the hold", func() { must(os.Remove(at("profiles/coder/state/reconcile.hold.json"))) }, []string{"coder"}},
		{"a first job", put("profiles/coder/cron/jobs.json", `[{"id":1}]`), []string{"coder"}},
		{"that it ran", put("profiles/coder/cron/jobs.json", `[{"id":1,"last_run":2}]`), nil},
		{"another mode", func() { must(os.Chmod(at("profiles/writer/SOUL.md"), 0o600)) }, []string{"writer"}},
		{"databases, logs, locks and runtime files", func() {
			for _, name := range []string{"state.db", "state.db-wal", "gateway.lock", "gateway.pid", "logs/gateway-exit-diag.log", "sessions/1", "state/gateway.lifecycle.json", "state/reconcile.owner.json"} {
				put("profiles/coder/"+name, "x")()
			}
			put("logs/gateways/coder/current", "x")()
			put("active_sessions", "x")()
		}, nil},
		{"the ledger", func() { must(v.AppendLog(t.Context(), ledger.Name, []byte("{}\n"))) }, nil},
		{"the emergency stop", put("ESTOP", ""), []string{""}},
		{"the root profile", put("SOUL.md", "x"), []string{""}},
		{"the sticky profile", put("active_profile", "coder"), []string{""}},
		{"a file that only counts in the home", put("profiles/coder/ESTOP", ""), nil},
		{"another name for a profile", func() { must(os.Rename(at("profiles/writer"), at("profiles/author"))) }, []string{"author", "writer"}},
		{"a file of it", put("profiles/author/SOUL.md", "y"), []string{"author"}},
		{"a profile deleted and made again", func() {
			must(os.RemoveAll(at("profiles/author")))
			put("profiles/author/SOUL.md", "z")()
		}, []string{"author"}},
		{"a file of that", put("profiles/author/config.yaml", "a: b"), []string{"author"}},
	} {
		test.do()
		if got := told(t, v); !slices.Equal(got, test.want) {
			t.Errorf("%s: keys %q, want %q", test.why, got, test.want)
		}
	}
	must(os.Rename(at("profiles"), at("old")))
	keysUntil(t, v, "")
	must(os.Rename(at("old"), at("profiles")))
	keysUntil(t, v, "")
	for _, name := range []string{"more", "and-more"} {
		put("profiles/"+name+"/SOUL.md", "x")()
		keysUntil(t, v, name)
	}
}

// A watch that begins, in this child or in the one after it, cannot know what changed before.
func TestTheFirstEventsNameAllProfiles(t *testing.T) {
	t.Parallel()
	v := startChild(t, Settings{})
	hometest.Put(t, v.settings.Home, "profiles/coder/SOUL.md", "x")
	keysUntil(t, v, "", "coder")
	if err := processOf(v).Kill(); err != nil {
		t.Fatal(err)
	}
	keysUntil(t, v, "", "coder")
}

// Who stops waiting for events can go on with a new child.
func TestTheEndOfAWaitForEvents(t *testing.T) {
	t.Parallel()
	v := watchedChild(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := v.Events(ctx, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("Events: %v, want that of its context", err)
	}
	if err := v.AppendLog(t.Context(), "x.log", []byte("x\n")); err != nil {
		t.Errorf("AppendLog after that: %v", err)
	}
}

// A watch waits longer for events than a command waits for the volume.
func TestALongWaitForEvents(t *testing.T) {
	t.Parallel()
	v := startChild(t, Settings{Phase: policy.PhaseApply})
	for began := time.Now(); time.Since(began) < patience+shortTime; {
		if _, err := v.Events(t.Context(), patience+time.Second); err != nil {
			t.Fatalf("Events: %v", err)
		}
	}
}

// Without events the caller hears why, once at once, and then only after its limit.
func TestNoEvents(t *testing.T) {
	t.Parallel()
	v := startChild(t, Settings{})
	if err := v.WriteLease(t.Context(), testLease("a")); err != nil { // Go's poller has its descriptors now
		t.Fatal(err)
	}
	if err := unix.Prlimit(processOf(v).PID, unix.RLIMIT_NOFILE, &unix.Rlimit{Max: 1024}, nil); err != nil {
		t.Skip(err)
	}
	if _, err := v.Events(t.Context(), time.Minute); !errors.Is(err, ErrNoEvents) || !strings.Contains(err.Error(), "too many open files") {
		t.Errorf("Events: %v, want that there are none and why", err)
	}
	if _, err := v.Events(t.Context(), time.Millisecond); !errors.Is(err, ErrNoEvents) {
		t.Errorf("Events again: %v", err)
	}
}

// After a while the child tries again to get events.
func TestEventsComeAgain(t *testing.T) {
	t.Parallel()
	home, err := volume.Open(hometest.New(t, map[string]string{"profiles/coder/SOUL.md": ""}))
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	s := server{settings: Settings{Home: home.Path()}, home: home}
	failed := &watcher{problem: "too many", told: true, began: time.Now()}
	s.watcher = failed
	if got := s.events(t.Context(), 0); got.Problem != "too many" || s.watcher != failed {
		t.Errorf("soon: %+v, want the problem and no other watch", got)
	}
	failed.began = time.Now().Add(-retryEvents - time.Second)
	if got := s.events(t.Context(), time.Minute); got.Problem != "" || len(got.Keys) == 0 {
		t.Errorf("later: %+v, want keys", got)
	}
}

// Keys come from a process of the agent's user.
func TestKeysThatNoChildSends(t *testing.T) {
	t.Parallel()
	many := make([]string, maxKeys+1)
	for i := range many {
		many[i] = fmt.Sprint("p", i)
	}
	for _, test := range []struct{ keys, want []string }{
		{nil, nil},
		{[]string{"b", "a", "b", ""}, []string{"", "a", "b"}},
		{many[:maxKeys], slices.Sorted(slices.Values(many[:maxKeys]))},
		{many, []string{""}},
		{[]string{strings.Repeat("x", maxKey+1)}, []string{""}},
		{[]string{"a\x1b[2J"}, []string{""}},
		{[]string{"a\nb"}, []string{""}},
	} {
		if got := checkedKeys(slices.Clone(test.keys)); !slices.Equal(got, test.want) {
			t.Errorf("checkedKeys(%.40q): %.40q, want %.40q", test.keys, got, test.want)
		}
	}
	w := watcher{keys: map[string]bool{}, woken: make(chan struct{}, 1)}
	for _, key := range many {
		w.note(key)
	}
	if got := w.wait(0).Keys; !slices.Equal(got, []string{""}) {
		t.Errorf("%d keys: %.40q, want one for all", len(many), got)
	}
}

func testLease(id string) engine.Lease {
	return engine.Lease{Host: "gateway-1", BootID: "b1", ContainerStart: 7, ID: id, SeenAt: time.Unix(1795327200, 0).UTC(), TTL: 30}
}

func readLease(t *testing.T, v *Child) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(v.settings.Home, policy.LeaseFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

// Two containers are two children on one home.
func TestLease(t *testing.T) {
	t.Parallel()
	a := startChild(t, Settings{})
	b, err := Start(a.settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := a.WriteLease(t.Context(), testLease("a")); err != nil {
		t.Fatal(err)
	}
	want := `{"host":"gateway-1","boot_id":"b1","container_start":7,"id":"a","seen_at":"2026-11-22T06:00:00Z","ttl":30}` + "\n"
	if got := readLease(t, a); got != want {
		t.Errorf("the lease: %s, want %s", got, want)
	}
	if err := b.WriteLease(t.Context(), testLease("b")); !errors.Is(err, engine.ErrLeaseTaken) {
		t.Errorf("the other takes it: %v, want %v", err, engine.ErrLeaseTaken)
	}
	if err := b.ReleaseLease(t.Context(), "b"); err != nil || readLease(t, a) != want {
		t.Errorf("the other releases it: %v, %q", err, readLease(t, a))
	}
	if err := a.WriteLease(t.Context(), testLease("a")); err != nil {
		t.Errorf("renew: %v", err)
	}
	late := testLease("b")
	late.Over = "a"
	if err := b.WriteLease(t.Context(), late); err != nil || !strings.Contains(readLease(t, a), `"id":"b"`) {
		t.Errorf("take over: %v, %q", err, readLease(t, a))
	}
	if err := a.WriteLease(t.Context(), testLease("a")); !errors.Is(err, engine.ErrLeaseTaken) {
		t.Errorf("renew a lost lease: %v, want %v", err, engine.ErrLeaseTaken)
	}
	for range 2 {
		if err := b.ReleaseLease(t.Context(), "b"); err != nil || readLease(t, a) != "" {
			t.Errorf("release: %v, %q", err, readLease(t, a))
		}
	}
	if err := a.WriteLease(t.Context(), engine.Lease{}); err == nil {
		t.Error("a lease without an id was written")
	}
}

// Whatever stands in the place of the lease is replaced, and never followed.
func TestStrangeLeases(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "-> /etc/passwd", "-> ../victim", "fifo", "huge", "[]", `{"id":7}`, `{"id":`, strings.Repeat("[", 5000)} {
		v := startChild(t, Settings{})
		hometest.Put(t, v.settings.Home, "victim", "mine")
		hometest.Put(t, v.settings.Home, policy.LeaseFile, text)
		if err := v.WriteLease(t.Context(), testLease("a")); err != nil || !strings.Contains(readLease(t, v), `"id":"a"`) {
			t.Errorf("over %.20q: %v", text, err)
		}
		if victim, _ := os.ReadFile(filepath.Join(v.settings.Home, "victim")); string(victim) != "mine" {
			t.Errorf("over %.20q: the file behind the link is %q", text, victim)
		}
	}
	v := startChild(t, Settings{})
	hometest.Put(t, v.settings.Home, "elsewhere/", "")
	hometest.Put(t, v.settings.Home, "state", "-> elsewhere")
	err := v.WriteLease(t.Context(), testLease("a"))
	if left, _ := os.ReadDir(filepath.Join(v.settings.Home, "elsewhere")); err == nil || len(left) > 0 {
		t.Errorf("through a link: %v, %v", err, left)
	}
}

// The own lease wakes nobody, another one does, and its renewals do not.
func TestEventsOfLeases(t *testing.T) {
	t.Parallel()
	v := watchedChild(t, map[string]string{"state/": ""})
	for range 3 {
		if err := v.WriteLease(t.Context(), testLease("a")); err != nil {
			t.Fatal(err)
		}
		if got := told(t, v); len(got) > 0 || !v.EventsSeen() {
			t.Errorf("the own lease: keys %q, events seen %v", got, v.EventsSeen())
		}
	}
	for _, want := range [][]string{{""}, {}} {
		hometest.Put(t, v.settings.Home, "state/x", `{"id":"b"}`)
		if err := os.Rename(filepath.Join(v.settings.Home, "state/x"), filepath.Join(v.settings.Home, policy.LeaseFile)); err != nil {
			t.Fatal(err)
		}
		if got := told(t, v); !slices.Equal(got, want) {
			t.Errorf("the lease of another: keys %q, want %q", got, want)
		}
	}
	if err := os.Remove(filepath.Join(v.settings.Home, policy.LeaseFile)); err != nil {
		t.Fatal(err)
	}
	if got := told(t, v); !slices.Equal(got, []string{""}) {
		t.Errorf("no lease: keys %q", got)
	}
	if err := v.WriteLease(t.Context(), testLease("a")); err != nil {
		t.Fatal(err)
	}
	if err := v.ReleaseLease(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if got := told(t, v); len(got) > 0 {
		t.Errorf("the own release: keys %q", got)
	}
}

// Nothing changes for longer than a command on a running container would wait.
func TestEventsOfAQuietVolume(t *testing.T) {
	t.Parallel()
	v := startChild(t, Settings{Phase: policy.PhaseApply})
	if _, err := v.Events(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if keys, err := v.Events(t.Context(), patience+time.Second); err != nil || len(keys) > 0 {
		t.Errorf("Events of a quiet volume: %q, %v", keys, err)
	}
}

// That the lease cannot be written, or is another's, does not mean that events are not seen.
func TestEventsWithoutALease(t *testing.T) {
	t.Parallel()
	v := watchedChild(t, map[string]string{"state/": ""})
	hometest.Put(t, v.settings.Home, policy.LeaseFile, `{"id":"b"}`)
	for range 3 {
		if err := v.WriteLease(t.Context(), testLease("a")); !errors.Is(err, engine.ErrLeaseTaken) {
			t.Fatal(err)
		}
	}
	hometest.Put(t, v.settings.Home, "blocked", "")
	if err := errors.Join(os.RemoveAll(filepath.Join(v.settings.Home, "state")), os.Rename(filepath.Join(v.settings.Home, "blocked"), filepath.Join(v.settings.Home, "state"))); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := v.WriteLease(t.Context(), testLease("a")); err == nil {
			t.Fatal("the lease was written where it cannot be")
		}
	}
	if told(t, v); !v.EventsSeen() {
		t.Error("events are not seen")
	}
}

// A watch that waits hears at once that the owner of the volume gave up its lease.
func TestEventsOfAReleasedLease(t *testing.T) {
	t.Parallel()
	for name, renew := range map[string]bool{"renewed meanwhile": true, "not renewed": false} {
		v := watchedChild(t, map[string]string{policy.LeaseFile: `{"id":"b"}`})
		if renew {
			hometest.Put(t, v.settings.Home, policy.LeaseFile, `{"id":"b"}`)
			told(t, v)
		}
		if err := os.Remove(filepath.Join(v.settings.Home, policy.LeaseFile)); err != nil {
			t.Fatal(err)
		}
		if got := told(t, v); !slices.Equal(got, []string{""}) {
			t.Errorf("%s: keys %q", name, got)
		}
	}
}

// The child notices that it hears nothing of its own lease.
func TestEventsThatDoNotReachTheChild(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	v := startChild(t, Settings{User: &trust.User{UID: 10000, GID: 10000}})
	if err := errors.Join(os.Mkdir(filepath.Join(v.settings.Home, "state"), 0o300), os.Chown(filepath.Join(v.settings.Home, "state"), 10000, 10000)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, true, false} {
		if i > 0 {
			if err := v.WriteLease(t.Context(), testLease("a")); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := v.Events(t.Context(), 0); err != nil || v.EventsSeen() != want {
			t.Errorf("after %d leases: events seen %v, %v, want %v", i, v.EventsSeen(), err, want)
		}
	}
}
