package s6

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hermes-reconcile/s6/s6test"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/supervise"
)

// asHermes runs a shell script as the unprivileged user and returns what it
// printed.
func (w *world) asHermes(script string) (string, error) {
	w.t.Helper()
	out, err := s6test.Shell(w.t, hermesID, script).CombinedOutput()
	return string(out), err
}

// The unprivileged user controls a slot that it does not own, and sees its state. The tools
// of s6 that wait for events are root's, and so is the lock of a logger.
func TestUserControlsSlots(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	w.startSvscan()
	w.apply(decide("coder=start"))
	w.untilUp("coder")
	slot := w.slot("coder")
	for _, script := range []string{
		"s6-svok " + slot, "s6-svstat " + slot, "s6-svstat -o up,wantedup,pid " + slot, "s6-svc -d " + slot, "s6-svc -u " + slot, "s6-svc -r " + slot, "s6-svc -x " + slot + "/log", "s6-svdt " + slot,
		"cat " + slot + "/supervise/status " + slot + "/supervise/death_tally >/dev/null",
	} {
		if out, err := w.asHermes(script); err != nil {
			t.Errorf("%s: %v: %s", script, err, out)
		}
	}
	for _, script := range []string{"s6-svok " + slot + "/log", "s6-svstat " + slot + "/log", "s6-svwait -t 9000 -u " + slot, "s6-svc -wD -T 9000 -d " + slot} {
		if out, err := w.asHermes(script); err == nil || !strings.Contains(out, "Permission denied") {
			t.Errorf("%s: %v: %s; if it works by now, the pages say otherwise", script, err, out)
		}
	}
}

// These attacks make a user root who owns a slot. None works for the user of a slot of
// root, and nothing outside changes.
func TestUserCannotBecomeRootThroughASlot(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	w.startSvscan()
	w.apply(decide("coder=start", "writer=down"))
	w.untilUp("coder")
	victim := filepath.Join(w.base, "victim")
	must(t, os.WriteFile(victim, []byte("precious"), 0o644))
	absent := filepath.Join(w.base, "absent")
	slot := w.slot("coder")
	attacks := map[string]string{
		"status.new":      "ln -s " + victim + " " + slot + "/supervise/status.new",
		"death_tally":     "rm -f " + slot + "/supervise/death_tally; ln -sf " + absent + " " + slot + "/supervise/death_tally",
		"supervise":       "mv " + slot + "/supervise " + slot + "/old && ln -s " + absent + " " + slot + "/supervise",
		"control":         "rm -f " + slot + "/supervise/control && touch " + slot + "/supervise/control",
		"run":             "echo 'touch " + absent + "' > " + slot + "/run",
		"run by rename":   "cd " + slot + " && echo x > .run && mv .run run",
		"finish":          "rm -f " + slot + "/finish",
		"log/run":         "echo x > " + slot + "/log/run",
		"log/supervise":   "rmdir " + slot + "/log/supervise || mv " + slot + "/log/supervise /tmp",
		"down":            "touch " + slot + "/down",
		"data":            "touch " + slot + "/data/started",
		"event":           "mv " + slot + "/event " + slot + "/event2",
		"in event":        "ln -s " + victim + " " + slot + "/event/" + subscription,
		"in log/event":    "ln -s " + victim + " " + slot + "/log/event/" + subscription,
		"the names there": "ls " + slot + "/event",
		"supervise/lock":  ": >>" + slot + "/supervise/lock",
		"a lock on it":    "s6-setlock -r -n " + slot + "/supervise/lock true",
		"log's lock":      "cat " + slot + "/log/supervise/lock",
		"slot":            "mv " + slot + " " + w.scan + "/gateway-other",
		"new slot":        "mkdir " + w.scan + "/gateway-mine",
		"svscan's script": "echo x > " + w.scan + "/.s6-svscan/SIGTERM",
		"svscan":          "s6-svscanctl -t " + w.scan,
		"the lock":        "echo x > " + w.scan + "/" + scandir.LockName,
	}
	before := snapshot(t, w.scan)
	for name, script := range attacks {
		if out, err := w.asHermes(script); err == nil {
			t.Errorf("%s: %q succeeded: %s", name, script, out)
		}
	}
	if after := snapshot(t, w.scan); after != before {
		t.Errorf("the scan directory changed:\n%s\nwas\n%s", after, before)
	}
	// The files that a supervisor writes at a stop and a start go to the slot.
	for _, script := range []string{"s6-svc -d " + slot, "s6-svc -u " + slot} {
		status, err := os.ReadFile(filepath.Join(slot, superviseStatus))
		must(t, err)
		if out, err := w.asHermes(script); err != nil {
			t.Errorf("%s: %v: %s", script, err, out)
		}
		w.until("the supervisor has written its status", func() bool {
			after, err := os.ReadFile(filepath.Join(slot, superviseStatus))
			return err == nil && !bytes.Equal(after, status)
		})
	}
	wantFile(t, victim, "precious")
	if _, err := os.Lstat(absent); err == nil {
		t.Errorf("%s was made", absent)
	}
}

// snapshot lists names, kinds, modes and owners below a directory, without the file that
// s6-supervise is about to rename.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("find", dir, "-not", "-path", "*/event/*", "-not", "(", "-name", "status.new", "-type", "f", ")", "-printf", "%p %y %m %U:%G %l\n").Output()
	must(t, err)
	lines := strings.Split(string(out), "\n")
	return strings.Join(sorted(lines), "\n")
}

// The logger makes its directory as the user: a link on the volume does not lead root
// to another directory.
func TestLoggerFollowsLinksAsTheUserOnly(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	private := filepath.Join(w.base, "private")
	must(t, os.Mkdir(private, 0o700))
	must(t, os.WriteFile(filepath.Join(private, "lock"), []byte("precious"), 0o600))
	must(t, os.MkdirAll(filepath.Join(w.home, "logs/gateways"), 0o755))
	must(t, os.Symlink(private, filepath.Join(w.home, "logs/gateways/coder")))
	w.apply(decide("coder=down"))
	cmd := exec.CommandContext(t.Context(), w.slot("coder", "log/run"))
	cmd.Dir = w.slot("coder", "log")
	cmd.Stdin = bytes.NewReader(nil)
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("log/run: %s", out)
	}
	wantFile(t, filepath.Join(private, "lock"), "precious")
	if entries, err := os.ReadDir(private); err != nil || len(entries) != 1 {
		t.Errorf("private: %v, %v", entries, err)
	}
}

// Strict ownership replaces a slot that belongs to the user, or takes it back and raises an
// alarm when the slot is supervised. Upstream ownership gives the user the slots and the scan directory
// itself, and nothing else.
func TestOwnership(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	d := decide("coder=down", "live=down")
	w.startSvscan()
	w.apply(decide("live=down"))
	w.options.Rescan = false
	w.apply(d)
	w.wantPlan(d, "")
	must(t, os.Chown(w.slot("coder", "supervise"), hermesID, hermesID))
	must(t, os.Chown(w.slot("live"), hermesID, hermesID))
	plan := w.wantPlan(d, "publish coder down; update live .")
	if got := w.alarmCodes(); got != "untrusted live" {
		t.Errorf("alarms: %s", got)
	}

	w.exec.Upstream = true
	w.wantPlan(d, "")
	w.carryOut(plan)
	for _, slot := range []string{"coder", "live"} {
		for _, name := range []string{".", "run", "down", "data", "data/hermes-reconcile.json", "log", "log/run", "supervise", "supervise/control", "log/supervise"} {
			info, err := os.Lstat(w.slot(slot, name))
			must(t, err)
			if st := info.Sys().(*syscall.Stat_t); st.Uid != hermesID || st.Gid != hermesID {
				t.Errorf("%s of %s belongs to %d:%d", name, slot, st.Uid, st.Gid)
			}
		}
	}
	wantMode(t, w.scan, 0o755, hermesID, hermesID)
	wantMode(t, filepath.Join(w.scan, supervise.Svscan.Control), 0o620, 0, hermesID)
	wantMode(t, filepath.Join(w.scan, scandir.LockName), 0o600, hermesID, hermesID)
	wantMode(t, w.slot("coder", "event"), 0o3730, hermesID, hermesID)
	wantMode(t, w.slot("coder", superviseLock), 0o644, 0, 0)
	for _, name := range []string{".s6-svscan", svscanLock} {
		info, err := os.Lstat(filepath.Join(w.scan, name))
		must(t, err)
		if st := info.Sys().(*syscall.Stat_t); st.Uid != 0 || st.Gid != 0 {
			t.Errorf("%s belongs to %d:%d", name, st.Uid, st.Gid)
		}
	}
}

// Under Upstream ownership the user's commands, which are upstream's, work on slots that root
// has made, updated, stopped and started: they write into a slot, remove it and make another.
func TestUpstreamCommandsAfterRoots(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	svscan := w.startSvscan()
	w.options.Live = true
	w.exec.Upstream = true
	w.apply(decide("coder=start", "writer=down"))
	w.likeUpstream("writer")
	w.apply(decide("coder=down", "writer=start"))
	w.apply(decide("coder=start", "writer=down"))
	s6test.OpenToOthers(t, w.base)
	asUser := func(command string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-ec", "cd "+w.scan+"; "+command)
		if out, err := s6test.As(hermesID, cmd).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", command, err, out)
		}
	}
	for _, slot := range []string{"gateway-coder", "gateway-writer"} {
		asUser("s6-svc -d " + slot + " && cd " + slot + " && touch down && echo >>run && echo x >type.tmp && mv type.tmp type && : >>supervise/control.new")
	}
	svscan.Kill()
	s6test.Kill(t, w.base) // the supervisors hold no directory then
	asUser("rm -rf gateway-coder gateway-writer && mkdir -p .gateway-coder.tmp/log && mv .gateway-coder.tmp gateway-coder")
	if got := w.visible(); len(got) != 1 || got[0] != "gateway-coder" {
		t.Errorf("left: %v", got)
	}
}

// Without root, everything belongs to the caller, and no script changes the user.
func TestUnprivileged(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	must(t, os.Chown(w.scan, hermesID, hermesID))
	const those = "^(TestSlotsComeUpAndWait|TestLiveSlotIsUpdatedInPlace|TestPublishedModes|TestRemovalLeavesNoProcess|" +
		"TestForeignThingsAreLeftAlone|TestReconcilersAtOnce)$"
	cmd := exec.CommandContext(t.Context(), w.testBinary(), "-test.run="+those, "-test.v")
	cmd.Env = append(os.Environ(), "TMPDIR="+w.scan, "HOME="+w.home)
	out, err := s6test.As(hermesID, cmd).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestRemovalLeavesNoProcess") {
		t.Errorf("as uid %d: %v\n%s", hermesID, err, out)
	}
}

// testBinary copies the running test to a directory in which the unprivileged user can
// run it.
func (w *world) testBinary() string {
	w.t.Helper()
	test, err := os.Executable()
	must(w.t, err)
	copied := filepath.Join(w.base, "s6.test")
	// Not by this process: a parallel test may start a child meanwhile, which inherits
	// the open file, and a file that is open for writing cannot run.
	must(w.t, exec.Command("cp", test, copied).Run())
	return copied
}
