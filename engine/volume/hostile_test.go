package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/policy"
)

// victimFiles are files outside the home that must not change. Their directory looks like a
// profile, like profiles and like logs at once.
var victimFiles = []string{
	"gateway_state.json", "gateway.pid", "processes.json", "gateway.lock", ".gateway-takeover.json", ".gateway-planned-stop.json",
	"state/reconcile.hold.json", "reconcile.hold.json", "boot.log", "boot.log.1", ".boot.log.lock", "coder/gateway_state.json",
}

const victimText = `{"desired_state":"stopped","target_pid":7}`

func newVictim(t *testing.T) (dir string, unchanged func()) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range victimFiles {
		hometest.Put(t, dir, name, victimText)
	}
	before := contents(t, dir)
	return dir, func() {
		t.Helper()
		if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
			t.Errorf("files outside the profile changed (-before +after):\n%s", diff)
		}
	}
}

// contents returns the files below a directory, with mode, size and text.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := ""
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(data)
		}
		all[strings.TrimPrefix(path, dir)] = info.Mode().String() + " " + text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// writers lists every operation that changes the volume, for the profile coder.
var writers = map[string]func(*Home) error{
	"SetIntent": func(h *Home) error {
		_, err := h.SetIntent(context.Background(), "coder", "running")
		return err
	},
	"MarkPlannedStop": func(h *Home) error {
		return h.MarkPlannedStop(context.Background(), "coder", 7, 1, 1, time.Unix(1795000000, 0))
	},
	"WriteHold": func(h *Home) error {
		return h.WriteHold(context.Background(), "coder", policy.RestartHold{SinceUnix: 1795000000, Deaths: 5})
	},
	"RemoveHold": func(h *Home) error {
		_, err := h.RemoveHold(context.Background(), "coder")
		return err
	},
	"sweep": func(h *Home) error {
		var errs []error
		for _, file := range policy.SweepableFiles() {
			// The identity that an attacker would choose: that of the victim.
			info, err := os.Stat(filepath.Join(h.Path(), "profiles/coder", file))
			if err != nil {
				continue
			}
			op := policy.Operation{Op: policy.OpSweep, Profile: "coder", File: file, Identity: policy.Identity(info)}
			errs = append(errs, (&Executor{Home: h}).Execute(context.Background(), []policy.Operation{op}, policy.ExecuteOptions{})[0].Err)
		}
		return errors.Join(errs...)
	},
	"seed": func(h *Home) error {
		op := policy.Operation{Op: policy.OpSeed, Profile: "coder", Seed: &policy.Seed{State: "running"}}
		return (&Executor{Home: h}).Execute(context.Background(), []policy.Operation{op}, policy.ExecuteOptions{})[0].Err
	},
	"AppendLog":              func(h *Home) error { return h.AppendLog("boot.log", []byte("line\n"), 1<<20) },
	"AppendLog that rotates": func(h *Home) error { return h.AppendLog("boot.log", []byte("line\n"), 1) },
}

// If the program opened whole paths, it would write, truncate or remove the file of the
// victim in each case, with the rights of its user.
func TestNoWriterFollowsALink(t *testing.T) {
	inMemory(t)
	traps := map[string]string{"profiles": ".", "profiles/coder": ".", "logs": ".", "profiles/coder/state": "state"}
	for _, name := range victimFiles {
		switch {
		case strings.Contains(name, "boot.log"):
			traps["logs/"+name] = name
		case name != "coder/gateway_state.json":
			traps["profiles/coder/"+name] = name
		}
	}
	for trap, target := range traps {
		t.Run(strings.ReplaceAll(trap, "/", " "), func(t *testing.T) {
			victim, unchanged := newVictim(t)
			for _, name := range slices.Sorted(maps.Keys(writers)) {
				h := newHome(t, map[string]string{trap: "-> " + filepath.Join(victim, target)})
				// Create the directories that the link does not replace, so that each
				// writer proceeds.
				_ = os.MkdirAll(filepath.Join(h.Path(), "profiles/coder"), 0o755)
				_ = os.MkdirAll(filepath.Join(h.Path(), "logs"), 0o755)
				_ = writers[name](h)
				unchanged()
			}
		})
	}
}

// If a writer changed a file in place, it would change every hard link to the file. An
// agent may link to a file that it may not write.
func TestNoWriterChangesTheOtherNameOfAFile(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(writers)) {
		t.Run(name, func(t *testing.T) {
			h := newHome(t, map[string]string{"profiles/coder/state/": "", "logs/": ""})
			precious := filepath.Join(h.Path(), "precious")
			for _, file := range victimFiles {
				under := "profiles/coder/"
				switch {
				case strings.Contains(file, "boot.log"):
					under = "logs/"
				case strings.HasPrefix(file, "coder/"):
					continue
				}
				path := filepath.Join(h.Path(), under+file)
				hometest.Put(t, h.Path(), "precious-"+filepath.Base(file), victimText)
				if err := os.Link(precious+"-"+filepath.Base(file), path); err != nil {
					t.Fatal(err)
				}
			}
			_ = writers[name](h)
			kept, err := filepath.Glob(precious + "-*")
			if err != nil || len(kept) == 0 {
				t.Fatalf("%v, %v", kept, err)
			}
			for _, path := range kept {
				if text, err := os.ReadFile(path); err != nil || string(text) != victimText {
					t.Errorf("%s is %q, %v", filepath.Base(path), text, err)
				}
			}
		})
	}
}

// swapping keeps exchanging two names during the test, as a process of the agent would. It
// returns a function that stops it and returns the number of exchanges.
func swapping(t *testing.T, a, b string) (stop func() int64) {
	t.Helper()
	var n atomic.Int64
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ended:
				return
			default:
			}
			if unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) == nil {
				n.Add(1)
			}
		}
	}()
	return func() int64 {
		close(ended)
		<-done
		return n.Load()
	}
}

// inMemory puts the directories of the test on a file system in memory, if there is one.
// That is faster.
func inMemory(t *testing.T) {
	t.Helper()
	if unix.Access("/dev/shm", unix.W_OK) == nil {
		t.Setenv("TMPDIR", "/dev/shm")
	}
}

// An agent keeps replacing a path with a link. A program that checks with lstat and then
// opens, or that remembers a path, follows the link within a few rounds.
func TestNoWriterLosesARace(t *testing.T) {
	inMemory(t)
	for _, c := range []struct{ name, swapped, target string }{
		{"the profile", "profiles/coder", "."},
		{"the directory profiles", "profiles", "."},
		{"the directory state", "profiles/coder/state", "state"},
		{"the state file", "profiles/coder/gateway_state.json", "gateway_state.json"},
		{"the planned stop", "profiles/coder/.gateway-planned-stop.json", ".gateway-planned-stop.json"},
		{"the logs", "logs", "."},
		{"the log", "logs/boot.log", "boot.log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			victim, unchanged := newVictim(t)
			h := newHome(t, map[string]string{
				"profiles/coder/state/reconcile.hold.json": "{}", "profiles/coder/gateway_state.json": `{"desired_state":"stopped"}`,
				"profiles/coder/.gateway-planned-stop.json": "{}", "logs/boot.log": "older\n", "trap": "-> " + filepath.Join(victim, c.target),
			})
			if _, err := h.Profiles(context.Background()); err != nil {
				t.Fatal(err)
			}
			stop := swapping(t, filepath.Join(h.Path(), c.swapped), filepath.Join(h.Path(), "trap"))
			for range 100 {
				for name, write := range writers {
					if name == "SetIntent" {
						continue // it waits for a gateway; see below
					}
					_ = write(h)
				}
			}
			for range 5 {
				_ = writers["SetIntent"](h)
			}
			if n := stop(); n < 100 {
				t.Errorf("only %d exchanges", n)
			}
			unchanged()
		})
	}
}

// A reader that waits for a writer, follows a device, or trusts a file size would block the
// boot or fill the memory.
func TestNothingStrangeIsReadAsAState(t *testing.T) {
	strange := map[string]func(path string) error{
		"a socket": func(path string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err == nil {
				l.SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		},
		"a sparse file of 50 GiB": func(path string) error {
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				return err
			}
			return os.Truncate(path, 50<<30)
		},
		"the device zero": func(path string) error {
			err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5)))
			if errors.Is(err, unix.EPERM) {
				return errors.Join(err, errors.ErrUnsupported)
			}
			return err
		},
	}
	for name, make := range strange {
		t.Run(name, func(t *testing.T) {
			h := newHome(t, map[string]string{"profiles/coder/": ""})
			path := filepath.Join(h.Path(), coderState)
			if err := make(path); errors.Is(err, errors.ErrUnsupported) {
				t.Skip("needs root, to make a device")
			} else if err != nil {
				t.Fatal(err)
			}
			if changed, err := h.SetIntent(context.Background(), "coder", "running"); changed || err == nil {
				t.Errorf("SetIntent = %v, %v, want an error", changed, err)
			}
			if desired, err := h.Intent(context.Background(), "coder"); desired != "" || err == nil {
				t.Errorf("Intent = %q, %v, want an error", desired, err)
			}
			op := policy.Operation{Op: policy.OpSeed, Profile: "coder", Seed: &policy.Seed{State: "running"}}
			checkResult(t, (&Executor{Home: h}).Execute(context.Background(), []policy.Operation{op}, policy.ExecuteOptions{})[0], false, "")
			if info, err := os.Lstat(path); err != nil || info.Mode().IsRegular() && info.Size() != 50<<30 {
				t.Errorf("the old file is gone: %v, %v", info, err)
			}
		})
	}
}

// hostileNames are names that an agent can create in profiles. If the program joined them
// into a path, a line or a command line, some would change its meaning.
func hostileNames() []string {
	names := []string{
		"two\nlines", "profile=x action=started", "\x1b[2J", "\u202egnp.exe", "\u200b", "a\x7fb", "\xff\xfe", "..a", "...", " ", "-rf", "--",
		"coder", "Coder", "CODER", "$(reboot)", "`reboot`", "a;b", "a'b", `a"b`, `"two\nlines"`, "*", "~", "%s%n", "default ", "gateway-coder", ".hidden", "nul\t",
	}
	for n := 242; n <= 255; n++ {
		names = append(names, strconv.Itoa(n)+strings.Repeat("x", n-3))
	}
	return names
}

func TestHostileNamesAreOneWordEachAndLeadToThemselves(t *testing.T) {
	files := map[string]string{}
	for _, name := range hostileNames() {
		files["profiles/"+name+"/me"] = name
	}
	h := newHome(t, files)
	profiles, err := h.Profiles(context.Background())
	if err != nil || len(profiles) != len(hostileNames())+1 {
		t.Fatalf("Profiles() gave %d, %v, want %d", len(profiles), err, len(hostileNames())+1)
	}
	seen := map[string]bool{}
	for _, p := range profiles {
		if seen[p.Name] || strings.ContainsFunc(p.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q occurs twice, or cannot be printed on a line", p.Name)
		}
		seen[p.Name] = true
		if p.Name == policy.RootProfile {
			continue
		}
		f, err := profileNamed(t, h, p.Name).Open("me")
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		text, err := readLimited(f, 512)
		f.Close()
		if err != nil || "profiles/"+string(text) != p.Dir {
			t.Errorf("%s leads to %q, %v, want %q", p.Name, text, err, p.Dir)
		}
	}
}

// An agent can create any number of entries. If the program listed all of them, its memory
// and time would have no limit.
func TestAHundredThousandEntries(t *testing.T) {
	inMemory(t)
	base := t.TempDir()
	dir := filepath.Join(base, "profiles")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const entries = 100_000
	for i := range entries {
		if err := os.Symlink("x", filepath.Join(dir, fmt.Sprintf("p%06d", i))); err != nil {
			t.Fatal(err)
		}
	}
	h, err := Open(base)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	profiles, err := h.Profiles(context.Background())
	runtime.ReadMemStats(&after)
	if err != nil || len(profiles) != MaxProfiles+1 {
		t.Errorf("Profiles() gave %d, %v, want %d", len(profiles), err, MaxProfiles+1)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
		t.Errorf("Profiles() allocated %d bytes, want at most %d", used, 32<<20)
	}
	fact, err := h.ProfilesDir(context.Background())
	if err != nil || !fact.Truncated || fact.Entries != MaxProfiles {
		t.Errorf("profiles_dir = %+v, %v, want it truncated, with %d entries", fact, err, MaxProfiles)
	}
}
