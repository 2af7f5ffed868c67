package facts

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/volume"
)

// asNobody runs f with the permissions of a user who owns nothing. The thread ends with f.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if _, err := unix.SetfsuidRetUid(65534); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// A file without read permission is unreadable, never missing. Such a profile must not look
// like one that has never run.
func TestWhatMayNotBeReadIsUnreadable(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	for name, closed := range map[string]string{"the profile": "profiles/coder", "all profiles": "profiles", "one file": ""} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			for _, file := range readFiles {
				files["profiles/coder/"+file] = "{}"
			}
			h := newHome(t, files)
			var paths []string
			if closed != "" {
				paths = append(paths, closed)
			} else {
				for _, file := range readFiles {
					paths = append(paths, "profiles/coder/"+file)
				}
			}
			profiles, err := h.Profiles(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				if err := os.Chmod(filepath.Join(h.Path(), path), 0); err != nil {
					t.Fatal(err)
				}
			}
			allowParents(t, h)
			sources := map[string]fact.ProfileSource{}
			for _, s := range Builtin(configFor(t, h)).Profile {
				sources[s.Name()] = s
			}
			asNobody(t, func() {
				dir, done, err := h.Open(profiles[0])
				if err != nil {
					t.Errorf("Open: %v", err)
					return
				}
				defer done()
				for _, source := range []string{"prior_state", "lifecycle", "tokens", "config", "starts", "unclean_exits", "restart_hold"} {
					value, err := sources[source].Collect(context.Background(), dir)
					text, _ := json.Marshal(value)
					if err != nil || !strings.Contains(string(text), `"status":"unreadable"`) || !strings.Contains(string(text), `"error":"permission denied"`) {
						t.Errorf("%s is %s, %v, want it unreadable", source, text, err)
					}
				}
				value, err := sources["runtime_files"].Collect(context.Background(), dir)
				if text, _ := json.Marshal(value); err != nil || strings.Contains(string(text), `"sweepable":true`) || !strings.Contains(string(text), `"held":true`) {
					t.Errorf("runtime_files is %s, %v, want nothing sweepable", text, err)
				}
			})
		})
	}
}

// allowParents gives every user access to the home; t.TempDir does not.
func allowParents(t *testing.T, h *volume.Home) {
	t.Helper()
	for dir := h.Path(); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
