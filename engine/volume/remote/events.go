package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/engine/facts"
	"hermes-reconcile/engine/memory"
	"hermes-reconcile/engine/notify"
	"hermes-reconcile/engine/volume"
	"hermes-reconcile/policy"
)

// ErrNoEvents says that the kernel tells nothing of what changes on the volume.
var ErrNoEvents = errors.New("no events of the volume")

const (
	maxKeys     = 1000
	maxKey      = 255         // bytes
	retryEvents = time.Minute // from the begin of a watch that failed to the next one
)

// A changes is the answer to a request for events.
type changes struct {
	Keys    []string `json:",omitempty"`
	Problem string   `json:",omitempty"` // why there are no events
	Unseen  int      `json:",omitempty"`
}

// Events waits at most limit for changes on the volume, and returns their keys, sorted: the
// name of a profile, or "" for the home itself. Only files that decide something count. Of
// more than 1,000 keys it returns only "". A change between two calls is not lost. The first
// call, and the first of a new child, returns all profiles: they may have changed before.
//
// The error wraps ErrNoEvents when the kernel gives no events. The child tries again, at most
// once a minute; until then a call takes as long as its limit. The end of ctx ends the child,
// and the next request goes to a new one. After any other error the child is of no use.
func (v *Child) Events(ctx context.Context, limit time.Duration) ([]string, error) {
	v.left = limit + patience // a watch asks for as long as it lives
	got, err := valueOf[changes](ctx, v, limit+shortTime, request{Events: &limit})
	if ctx.Err() != nil && errors.Is(err, errLate) {
		v.gone = nil
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	v.unseen = got.Unseen
	if got.Problem != "" {
		return nil, fmt.Errorf("%w: %s", ErrNoEvents, policy.Cut(got.Problem))
	}
	return checkedKeys(got.Keys), nil
}

// EventsSeen reports whether events of the home reach the child. They do not after two leases
// in a row were written, and Events saw neither.
func (v *Child) EventsSeen() bool { return v.unseen < 2 }

// checkedKeys returns keys that the agent could have chosen, sorted. Keys that no child sends
// count as "".
func checkedKeys(keys []string) []string {
	if len(keys) > maxKeys || slices.ContainsFunc(keys, func(key string) bool { return len(key) > maxKey || policy.Line(key) != key }) {
		return []string{""}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// A watcher keeps what changed until it is asked for.
type watcher struct {
	home   *volume.Home
	path   string // of the home, clean
	ofAll  watched
	ofHome watched
	began  time.Time
	woken  chan struct{}
	rested bool // since it was woken

	mutex   sync.Mutex
	keys    map[string]bool
	gists   map[string]string // of the busy files, by profile
	problem string            // why the watch ended
	told    bool              // the problem was
	ours    string            // the id of the lease that was written here
	others  string            // the id of the lease that another container wrote
	unseen  int               // leases written since one was seen
}

// A watched is what counts of a directory, by names in it.
type watched struct{ files, directories map[string]bool }

func newWatched(files []string) watched {
	w := watched{map[string]bool{}, map[string]bool{}}
	for _, name := range files {
		w.files[name] = true
		for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
			w.directories[parent] = true
		}
	}
	return w
}

func (w watched) has(name string) bool { return w.files[name] || w.directories[name] }

// events waits for changes. It begins the watch, or begins it again some time after it failed.
func (v *server) events(ctx context.Context, limit time.Duration) changes {
	if v.watcher == nil || v.watcher.failed() && time.Since(v.watcher.began) > retryEvents {
		v.watcher = &watcher{
			home: v.home, path: filepath.Clean(v.settings.Home), began: time.Now(), woken: make(chan struct{}, 1),
			ofAll: newWatched(facts.Watched(v.settings.OperatorFiles)), ofHome: newWatched(facts.WatchedInHome()),
			keys: map[string]bool{}, gists: map[string]string{}, others: v.home.LeaseID(),
		}
		go v.watcher.run(ctx)
		// The parent may be killed while this process waits.
		_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
	}
	return v.watcher.wait(limit)
}

func (w *watcher) run(ctx context.Context) {
	err := notify.Watch(ctx, func() []string { return w.directories(ctx) }, func(path string) { w.changed(ctx, path) })
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.problem = err.Error()
	w.wake()
}

func (w *watcher) failed() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.problem != ""
}

// directories returns the home, "profiles" and each profile, each with those directories in
// it that have watched files. A link to a directory is none.
func (w *watcher) directories(ctx context.Context) []string {
	all := []string{w.path}
	add := func(dir string) bool {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() {
			return false
		}
		all = append(all, dir)
		return true
	}
	add(filepath.Join(w.path, "profiles"))
	for name := range w.ofHome.directories {
		add(filepath.Join(w.path, name))
	}
	profiles, _ := w.home.Profiles(ctx) // the error is that of ctx
	for _, p := range profiles {
		dir := filepath.Join(w.path, p.Dir)
		if p.Dir != "." && !add(dir) {
			continue
		}
		for name := range w.ofAll.directories {
			add(filepath.Join(dir, name))
		}
	}
	return all
}

// changed notes the key of a path, if something there counts.
func (w *watcher) changed(ctx context.Context, changed string) {
	key, name := "", strings.TrimPrefix(strings.TrimPrefix(changed, w.path), "/")
	profile := policy.RootProfile
	if below, ok := strings.CutPrefix(name, "profiles/"); ok {
		entry, rest, _ := strings.Cut(below, "/")
		key, name = policy.ProfileName(entry), rest
		profile = key
	}
	if name == policy.LeaseFile && key == "" {
		w.sawLease()
		return
	}
	if name != "" && name != "profiles" && !w.ofAll.has(name) && !(key == "" && w.ofHome.has(name)) {
		return
	}
	gist := ""
	err := w.home.Visit(ctx, profile, func(dir policy.Directory) { gist = facts.Gist(dir) })
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if before, known := w.gists[profile]; known && gist == before && facts.Busy(name) {
		return
	}
	if w.gists[profile] = gist; err != nil { // the profile is gone
		delete(w.gists, profile)
	}
	w.note(key)
}

// sawLease notes that the lease was written or removed. Only that another container got or
// gave it counts.
func (w *watcher) sawLease() {
	id := w.home.LeaseID()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.unseen = 0
	if id != w.others && (id != w.ours || id == "") {
		w.others = id
		w.note("")
	}
}

// writes notes that the lease is about to be written or removed here.
func (w *watcher) writes(ours string) {
	if w == nil { // nobody asked for events
		return
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.ours, w.others = ours, ""
}

// wrote notes that the lease was written or removed.
func (w *watcher) wrote() {
	if w == nil {
		return
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.unseen++
}

func (w *watcher) note(key string) {
	if w.keys[key] = true; len(w.keys) > maxKeys {
		w.keys = map[string]bool{"": true}
	}
	w.wake()
}

func (w *watcher) wake() {
	select {
	case w.woken <- struct{}{}:
	default: // woken already
	}
}

// wait returns what changed, at most limit later. That there are no events it tells once at
// once.
func (w *watcher) wait(limit time.Duration) changes {
	late, calm := time.After(limit), time.After(time.Second)
	for over := false; ; {
		if got, done := w.take(over); done {
			return got
		}
		select {
		case <-w.woken:
			w.rested = false
		case <-calm:
			if !w.rested {
				memory.Rest()
				w.rested = true
			}
		case <-late:
			over = true
		}
	}
}

// take returns what changed, and whether that is worth an answer.
func (w *watcher) take(over bool) (got changes, done bool) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	got = changes{Keys: slices.Collect(maps.Keys(w.keys)), Unseen: w.unseen}
	if len(got.Keys) == 0 && w.problem != "" {
		got.Problem, done = w.problem, over || !w.told
		w.told = w.told || done
	}
	clear(w.keys)
	return got, done || over || len(got.Keys) > 0
}
