package s6

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/deaths"
	"hermes-reconcile/s6/s6test"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/scripts"
)

// The gateway of a profile with a hostile name gets exactly that name and its values,
// and the scripts run nothing else.
func TestScriptsCarryNoShellText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec.Command = []string{w.script("printing", "printf '%s\\n' \"$2\" \"$VALUE\"\n")}
	// Other tests run the parts that only root executes, with the real tools.
	w.exec.ProgramDirs = []string{filepath.Join(w.base, "tools"), "/usr/bin", "/bin"}
	must(t, os.Mkdir(w.exec.ProgramDirs[0], 0o755))
	w.script("tools/s6-setuidgid", "shift\nexec \"$@\"\n")
	w.script("tools/s6-log", "printf '%s\\n' \"$5\"\n")
	for _, word := range s6test.HostileWords {
		t.Run(word, func(t *testing.T) {
			d := decide(word + "=down")
			one := d.Profiles[word]
			one.Env = map[string]string{"VALUE": word + `"/` + word}
			d.Profiles[word] = one
			w.options.Rescan = false
			w.apply(d)
			for script, want := range map[string]string{"run": word + "\n" + word + `"/` + word + "\n", "log/run": w.home + "/logs/gateways/" + word + "\n"} {
				cmd := exec.CommandContext(t.Context(), w.slot(word, script))
				cmd.Dir = filepath.Dir(w.slot(word, script))
				cmd.Stdin = strings.NewReader("")
				if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
					t.Errorf("%s: %v: got %q, want %q", script, err, out, want)
				}
			}
		})
	}
	out, err := exec.Command("find", w.base, "-name", "pwned*").Output()
	if err != nil || len(out) > 0 {
		t.Errorf("a script ran its data: %s, %v", out, err)
	}
}

// The exit codes of a rule become part of the finish script. Anything but a number and the
// words that only the helper sees is refused.
func TestFinishScriptTakesNumbersOnly(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"0) touch pwned ;; 1", "**", "SIGKILL) touch pwned ;; 1", "1|2", "01", "-1", "256", "1\n", " 1", "$(id)", ""} {
		member := map[string]any{"profile": "coder", "reason": "x", "exit_codes": map[string]any{code: "never"}}
		if c, _, err := policy.DecodeMember(policy.SetRestart, member); err == nil {
			t.Errorf("the exit code %q is accepted: %+v", code, c)
		}
	}
	w := newWorld(t)
	w.apply(withRestart(decide("coder=down"), "coder", policy.Restart{ExitCodes: map[string]string{"*": "never", "SIGKILL": "never", "oom": "never", "7": "never"}}))
	if text, err := os.ReadFile(w.slot("coder", "finish")); err != nil || !strings.Contains(string(text), "\n0|7|78) exit 125") {
		t.Errorf("%v: %s", err, text)
	}
}

// Root owns the counted deaths, the pause and the lock. A user who could write them
// could restart a gateway for ever, or lead root's helper to another file.
func TestUserCannotReachTheCounters(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	w.withHelper()
	w.startSvscan()
	d := withRestart(decide("coder=start"), "coder", policy.Restart{
		Budget: &policy.Budget{Deaths: 50, WindowSeconds: 600}, ExitCodes: map[string]string{"3": "backoff"}, OnExhaustion: "hold",
	})
	w.apply(d)
	w.untilUp("coder")
	slot := w.slot("coder")
	if out, err := w.asHermes("s6-svc -k " + slot); err != nil {
		t.Fatalf("s6-svc -k: %v: %s", err, out)
	}
	w.until("the death is counted", func() bool {
		_, err := os.Stat(filepath.Join(slot, deaths.TallyName))
		return err == nil
	})
	w.untilUp("coder")
	victim := filepath.Join(w.base, "victim")
	must(t, os.WriteFile(victim, []byte("precious"), 0o644))
	before := snapshot(t, w.scan)
	for _, script := range []string{
		"rm " + slot + "/" + deaths.TallyName,
		": > " + slot + "/" + deaths.TallyName,
		"ln -s " + victim + " " + slot + "/" + deaths.TallyName + ".new",
		"ln -s " + victim + " " + slot + "/" + scripts.PauseName,
		"ln -s " + victim + " " + slot + "/" + scripts.PauseName + ".new",
		"ln -s " + victim + " " + slot + "/" + scandir.DownName + ".new",
		"echo 99999999 > " + slot + "/" + scripts.PauseName,
		"touch " + slot + "/" + scripts.ChangedName,
		"echo '{}' > " + slot + "/" + scripts.MarkerName,
		"rm " + slot + "/" + scripts.MarkerName,
		"mv " + slot + "/data " + slot + "/data2",
		"rm " + w.scan + "/" + scandir.LockName,
		"flock -n " + w.scan + "/" + scandir.LockName + " true",
		"mv " + w.scan + "/" + scandir.LockName + " " + w.scan + "/.x",
		"mkdir " + w.scan + "/" + scandir.StagingPrefix + "x",
		"rm " + slot + "/supervise/lock",
		": > " + slot + "/supervise/lock",
		"flock -x -n " + slot + "/supervise/status true && echo x > " + slot + "/supervise/status",
		"echo x > " + slot + "/log/supervise/death_tally",
	} {
		if out, err := w.asHermes(script); err == nil {
			t.Errorf("%q succeeded: %s", script, out)
		}
	}
	if after := snapshot(t, w.scan); after != before {
		t.Errorf("the scan directory changed:\n%s\nwas\n%s", after, before)
	}
	wantFile(t, victim, "precious")
}

// The helper of finish scripts runs as root in a slot. It follows no planted link, which
// a time with upstream ownership may have left.
func TestTheCountersFollowNoLink(t *testing.T) {
	t.Parallel()
	for _, name := range []string{deaths.TallyName, deaths.TallyName + ".new", scripts.PauseName, scripts.PauseName + ".new", scandir.DownName, scandir.DownName + ".new", scripts.MarkerName, "data", "supervise/status"} {
		t.Run(strings.ReplaceAll(name, "/", " "), func(t *testing.T) {
			w := newWorld(t)
			w.options.Rescan = false
			w.apply(withRestart(decide("coder=start"), "coder", policy.Restart{
				Budget: &policy.Budget{Deaths: 1, WindowSeconds: 600}, ExitCodes: map[string]string{"3": "backoff"}, OnExhaustion: "hold",
			}))
			victim := filepath.Join(w.base, "victim")
			must(t, os.WriteFile(victim, []byte("precious"), 0o644))
			must(t, os.RemoveAll(w.slot("coder", name)))
			must(t, os.Symlink(victim, w.slot("coder", name)))
			_, _ = deaths.Death{Dir: w.slot("coder"), ExitCode: 3}.Answer()
			wantFile(t, victim, "precious")
		})
	}
}

// Answer does not hang on a status that is a FIFO, nor on a tally of 50 GiB.
func TestTheCountersReadNothingStrange(t *testing.T) {
	t.Parallel()
	for _, name := range []string{deaths.TallyName, "supervise/status", scripts.MarkerName} {
		w := newWorld(t)
		w.options.Rescan = false
		w.apply(withRestart(decide("coder=start"), "coder", policy.Restart{Budget: &policy.Budget{Deaths: 9, WindowSeconds: 600}}))
		must(t, os.RemoveAll(w.slot("coder", name)))
		must(t, unix.Mkfifo(w.slot("coder", name), 0o644))
		answer, err := deaths.Death{Dir: w.slot("coder"), ExitCode: 3}.Answer()
		if answer.Down || name == scripts.MarkerName && err == nil {
			t.Errorf("%s a FIFO: %+v, %v", name, answer, err)
		}
		must(t, os.Remove(w.slot("coder", name)))
		must(t, os.WriteFile(w.slot("coder", name), nil, 0o644))
		must(t, os.Truncate(w.slot("coder", name), 50<<30))
		answer, err = deaths.Death{Dir: w.slot("coder"), ExitCode: 3}.Answer()
		if answer.Down || name == scripts.MarkerName && err == nil {
			t.Errorf("%s of 50 GiB: %+v, %v", name, answer, err)
		}
	}
}

// A budget of 3 deaths ends with the third, whatever became of the counted deaths: the ones
// that s6-supervise recorded count then.
func TestSpoiledCounterKeepsTheBudget(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	for name, spoil := range map[string]func(path string) error{
		"a letter of an event": func(path string) error { return os.WriteFile(path, []byte("u"), 0o644) },
		"empty":                func(path string) error { return os.Truncate(path, 0) },
		"another user's": func(path string) error {
			return errors.Join(os.WriteFile(path, []byte("{}"), 0o644), os.Chown(path, hermesID, hermesID))
		},
		"a file for all": func(path string) error {
			return errors.Join(os.WriteFile(path, []byte("{}"), 0o644), os.Chmod(path, 0o666))
		},
		"a link":      func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/dev/null", path)) },
		"a FIFO":      func(path string) error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o644)) },
		"a directory": func(path string) error { return errors.Join(os.RemoveAll(path), os.MkdirAll(path+"/x", 0o755)) },
		"in the way":  func(path string) error { return os.MkdirAll(path+".new/x", 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.withHelper()
			w.startSvscan()
			w.apply(withRestart(decide("coder=start"), "coder", policy.Restart{Budget: &policy.Budget{Deaths: 3, WindowSeconds: 600}, OnExhaustion: "hold"}))
			path := w.slot("coder", deaths.TallyName)
			for death := 1; death <= 3; death++ {
				before := w.untilUp("coder").PID
				if out, err := w.asHermes("s6-svc -k " + w.slot("coder")); err != nil {
					t.Fatalf("s6-svc -k: %v: %s", err, out)
				}
				held := false
				w.until("the death is answered", func() bool {
					_, err := os.Stat(filepath.Join(w.base, "coder.hold"))
					now := w.facts().Slots["gateway-coder"]
					held = err == nil
					return held || now.Up && now.PID != before
				})
				if held != (death == 3) {
					t.Errorf("held after %d deaths: %v", death, held)
				}
				if death < 3 {
					must(t, spoil(path))
				}
			}
		})
	}
}
