package facts

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/policy"
)

// A noting is a directory that records the names that a source opens.
type noting struct {
	policy.Directory
	mu    *sync.Mutex
	names map[string]bool
}

func (n noting) note(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[name] = true
}

func (n noting) Lstat(name string) (fs.FileInfo, error) {
	n.note(name)
	return n.Directory.Lstat(name)
}

func (n noting) Open(name string) (policy.File, error) {
	n.note(name)
	return n.Directory.Open(name)
}

// The lists of files are complete, so the tests of strange files cover every file that a
// source reads.
func TestTheListsOfFilesAreComplete(t *testing.T) {
	h := newHome(t, map[string]string{"profiles/coder/": ""})
	c := configFor(t, h)
	home := noting{h.Root(), new(sync.Mutex), map[string]bool{}}
	c.Root = home
	all := Builtin(c)
	for _, s := range all.Volume {
		facttest.Collect(t, s)
	}
	profiles, err := h.Profiles(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	dir, done, err := h.Open(profiles[0])
	if err != nil || profiles[0].Name != "coder" {
		t.Fatal(profiles, err)
	}
	defer done()
	profile := noting{dir, new(sync.Mutex), map[string]bool{}}
	for _, s := range all.Profile {
		if _, err := s.Collect(context.Background(), profile); err != nil {
			t.Errorf("%s: %v", s.Name(), err)
		}
	}
	missing := func(asked map[string]bool, known []string) {
		for name := range asked {
			if name != "." && !slices.Contains(known, name) && !strings.HasPrefix(name, "logs/gateways") {
				t.Errorf("%s is read, but no test puts a strange file in its place", name)
			}
		}
	}
	missing(home.names, homeFiles)
	missing(profile.names, readFiles)
	if len(home.names) < 5 || len(profile.names) < 15 {
		t.Errorf("only %v and %v were asked for", home.names, profile.names)
	}
}

// A source that opens any kind of file would block on a socket or a terminal, or read zeros
// until the memory is full.
func TestSocketsAndDevicesAreNotRead(t *testing.T) {
	for name, mode := range map[string]uint32{"sockets": unix.S_IFSOCK, "the device zero": unix.S_IFCHR, "a block device": unix.S_IFBLK} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t, map[string]string{"profiles/coder/": ""})
			var paths []string
			for _, file := range readFiles {
				paths = append(paths, "profiles/coder/"+file)
			}
			for _, path := range append(append(paths, homeFiles...), "logs/gateways/coder/lock", "logs/gateways/coder/current") {
				hometest.Put(t, h.Path(), filepath.Dir(path)+"/", "")
				err := unix.Mknod(filepath.Join(h.Path(), path), mode|0o666, int(unix.Mkdev(1, 5)))
				if errors.Is(err, unix.EPERM) {
					t.Skip("needs root, to make a device")
				}
				if err != nil && !errors.Is(err, unix.EEXIST) {
					t.Fatal(err)
				}
			}
			validateAll(t, h)
			for source, key := range map[string]string{"prior_state": "status", "lifecycle": "status", "tokens": "status", "config": "status", "restart_hold": "status", "starts": "status"} {
				facttest.Want(t, collectedFor(t, profileSource(t, configFor(t, h), source), h, "coder"), map[string]string{key: `"unreadable"`})
			}
		})
	}
}

// FuzzHold: any record counts from now at the latest. Only a changed file or an elapsed
// time ends it.
func FuzzHold(f *testing.F) {
	for _, text := range []string{
		`{"since_unix":99999999999,"deaths":5}`, `{"since_unix":1,"until_unix":1e300,"deaths":5,"files":{".env":"a"}}`, `{"since_unix":1,"deaths":-1}`,
		`{"since_unix":"2026-11-22T06:00:00Z","deaths":5.0,"until_unix":"9999-12-31T23:59:59Z"}`, `{"since_unix":1,"deaths":1e18,"files":7,"window_seconds":1e400}`, "{}", "[]",
	} {
		f.Add([]byte(text), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, known bool) {
		keys, out := read.ParseObject(data)
		hold := describeRestartHold(keys, out, now.Unix(), func(string) (string, bool) { return "id", known })
		facttest.Check(t, facttest.Profile, "restart_hold", hold)
		if hold.Status != policy.StatusRecorded {
			if hold.Ended != "" || hold.SinceUnix != nil || hold.Deaths != nil {
				t.Errorf("%q is %+v", data, hold)
			}
			return
		}
		over := hold.UntilUnix != nil && *hold.UntilUnix <= now.Unix()
		if *hold.SinceUnix > now.Unix() || *hold.Deaths < 0 || (hold.Ended == "changed") != (len(hold.ChangedFiles) > 0) || !known && len(hold.ChangedFiles) > 0 || hold.Ended == "time" && !over {
			t.Errorf("%q is %+v", data, hold)
		}
	})
}
