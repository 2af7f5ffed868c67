package facts

import (
	"context"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"hermes-reconcile/policy"
)

// unwatched are the files that facts read and whose change wakes nobody. A gateway writes
// them while it starts, works or ends, and s6 tells of its start and its end.
var unwatched = []string{
	".", "state.db", "gateway.pid", "gateway.lock", "processes.json", ".gateway-takeover.json", ".gateway-planned-stop.json",
	"state/gateway.lifecycle.json", "gateway-starts.log", "gateway/restart_loop.json", "logs/",
	".local/state/hermes/gateway-locks",
}

// A recorder notes which names a source asks for.
type recorder struct {
	policy.Directory
	names map[string]bool
}

func (r recorder) Open(name string) (policy.File, error) {
	r.names[name] = true
	return r.Directory.Open(name)
}

func (r recorder) Lstat(name string) (fs.FileInfo, error) {
	r.names[name] = true
	return r.Directory.Lstat(name)
}

func (r recorder) ReadDir(name string, limit int) ([]string, error) {
	r.names[name] = true
	return r.Directory.ReadDir(name, limit)
}

func (r recorder) LockHeld(name string) (bool, error) {
	r.names[name] = true
	return r.Directory.LockHeld(name)
}

// A file that a fact reads is watched, or it is known to be busy.
func TestEveryFileThatAFactReadsIsWatched(t *testing.T) {
	files := map[string]string{"logs/gateways/coder/current": "x"}
	for _, file := range readFiles {
		files["profiles/coder/"+file] = `{"since_unix":1,"deaths":1,"phase":"running"}`
	}
	for _, file := range homeFiles {
		files[file] = "{}"
	}
	h := newHome(t, files)
	c := configFor(t, h)
	c.OperatorFiles = []string{".night", "../out"}
	root, profile := recorder{c.Root, map[string]bool{}}, recorder{nil, map[string]bool{}}
	c.Root = root
	all := Builtin(c)
	for _, s := range all.Volume {
		_, _ = s.Collect(context.Background())
	}
	err := h.Visit(context.Background(), "coder", func(dir policy.Directory) {
		profile.Directory = dir
		for _, s := range all.Profile {
			_, _ = s.Collect(context.Background(), profile)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	watched := Watched(c.OperatorFiles)
	checkWatched(t, "a profile", profile.names, watched)
	checkWatched(t, "the home", root.names, append(WatchedInHome(), watched...))
	if slices.Contains(watched, "../out") || !slices.Contains(watched, ".night") {
		t.Errorf("watched: %v, want the configured name and none outside of the profile", watched)
	}
}

func checkWatched(t *testing.T, where string, read map[string]bool, watched []string) {
	t.Helper()
	if len(read) < 5 {
		t.Errorf("facts read only %v of %s", read, where)
	}
	for _, name := range slices.Sorted(maps.Keys(read)) {
		busy := slices.ContainsFunc(unwatched, func(u string) bool { return name == u || strings.HasPrefix(name, strings.TrimSuffix(u, "/")+"/") })
		if busy == slices.Contains(watched, name) {
			t.Errorf("facts read %s of %s: name it either in Watched or here in unwatched", name, where)
		}
	}
}

func TestGist(t *testing.T) {
	h := newHome(t, map[string]string{
		"gateway_state.json":                `{"desired_state":"running","active_agents":1,"updated_at":5}`,
		"cron/jobs.json":                    `{"jobs":[{"id":"a","last_run":1}]}`,
		"profiles/busy/gateway_state.json":  `{"desired_state":"running","active_agents":7,"updated_at":9}`,
		"profiles/busy/cron/jobs.json":      `{"jobs":[{"id":"a","last_run":2}]}`,
		"profiles/ended/gateway_state.json": `{"desired_state":"stopped","active_agents":1,"updated_at":5}`,
		"profiles/ended/cron/jobs.json":     `{"jobs":[{"id":"a","last_run":1}]}`,
		"profiles/idle/gateway_state.json":  `{"desired_state":"running","active_agents":1,"updated_at":5}`,
		"profiles/idle/cron/jobs.json":      `{"jobs":[{"id":"a","enabled":false}]}`,
	})
	gist := func(profile string) (text string) {
		if err := h.Visit(context.Background(), profile, func(dir policy.Directory) { text = Gist(dir) }); err != nil {
			t.Fatal(err)
		}
		return text
	}
	root := gist(policy.RootProfile)
	if busy := gist("busy"); root != busy {
		t.Errorf("of a gateway at work: %s, want %s", busy, root)
	}
	for _, name := range []string{"ended", "idle"} {
		if changed := gist(name); root == changed {
			t.Errorf("%s: it does not show the change: %s", name, changed)
		}
	}
}
