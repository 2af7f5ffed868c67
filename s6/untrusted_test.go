package s6

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/s6/s6test"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/supervise"
)

// subscription is a name that s6-supervise takes for that of a process waiting for events:
// it opens what has the name and writes a letter.
const subscription = "ftrig1:@400000006b09624e25c166a9:abcdef"

// olden gives a slot the modes of versions that let the user wait for events.
func (w *world) olden(profile string) {
	w.t.Helper()
	for _, prefix := range []string{"", "log/"} {
		must(w.t, os.Chown(w.slot(profile, prefix+"event"), 0, hermesID))
		must(w.t, unix.Chmod(w.slot(profile, prefix+"event"), 0o3730))
		must(w.t, os.Chmod(w.slot(profile, prefix+superviseLock), 0o644))
	}
}

// oldParts is what an update of a slot of an older version takes back.
const oldParts = "supervise/lock,event,log/supervise/lock,log/event"

// No link of the agent's in a slot's event directory makes root's s6-supervise write.
func TestNoEventOfAStranger(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	w.startSvscan()
	d := decide("coder=start", "idle=down")
	w.apply(d)
	w.untilUp("coder")
	victim, other := filepath.Join(w.base, "victim"), w.slot("idle", superviseControl)
	must(t, os.WriteFile(victim, nil, 0o600))
	plant := func() error {
		_, err := w.asHermes(fmt.Sprintf("cd %s && ln -s %s %s && ln -s %s %s", w.slot("coder", "event"), victim, subscription,
			other, strings.ReplaceAll(subscription, "abc", "xyz")))
		return err
	}
	restart := func() {
		before := w.untilUp("coder").PID
		if out, err := w.asHermes("s6-svc -r " + w.slot("coder")); err != nil {
			t.Fatalf("s6-svc -r: %v: %s", err, out)
		}
		w.until("another gateway is up", func() bool { now := w.facts().Slots["gateway-coder"]; return now.Up && now.PID != before })
		time.Sleep(50 * time.Millisecond) // the event follows the status
		wantFile(t, victim, "")
	}
	if plant() == nil {
		t.Error("the agent can make names in event")
	}
	restart()

	// In slots of older versions it could.
	w.olden("coder")
	must(t, plant())
	if _, err := w.asHermes("cd " + w.slot("coder", "log/event") + " && for i in 1 2 3; do mkdir -p $i/a/b; : >$i/a/file; done"); err != nil {
		t.Fatal(err)
	}
	before := inodeOf(t, w.slot("coder"))
	w.carryOut(w.wantPlan(d, "update coder event,log/supervise/lock,log/event"))
	if got := w.last.Operations[0].Cause; got != notRoots {
		t.Errorf("cause: %s", got)
	}
	w.wantPlan(d, "")
	if inodeOf(t, w.slot("coder")) != before {
		t.Error("the slot is another directory")
	}
	wantMode(t, w.slot("coder", superviseLock), 0o644, 0, 0) // a supervisor has it
	wantMode(t, w.slot("coder", "log/"+superviseLock), 0o600, 0, 0)
	for _, prefix := range []string{"", "log/"} {
		wantMode(t, w.slot("coder", prefix+"event"), 0o700, 0, 0)
		if left, err := os.ReadDir(w.slot("coder", prefix+"event")); err != nil || len(left) > 0 {
			t.Errorf("%sevent: %v, %v", prefix, left, err)
		}
	}
	if err := plant(); err == nil {
		t.Error("a link was made again")
	}
	restart()
	// Root's own tools still wait for events of the live supervisor.
	for _, command := range []string{"-wD -d", "-wu -u"} {
		args := append(strings.Fields("-T 10000 "+command), w.slot("coder"))
		if out, err := exec.CommandContext(t.Context(), "s6-svc", args...).CombinedOutput(); err != nil {
			t.Errorf("s6-svc %s: %v: %s", command, err, out)
		}
	}
}

// A process of the agent's that has a lock on a slot's lock file keeps no gateway down.
func TestLockOfAStranger(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	d := decide("coder=start", "live=start")
	w.apply(d)
	holder := func() *exec.Cmd {
		cmd := s6test.As(hermesID, exec.CommandContext(t.Context(), w.testBinary()))
		cmd.Env = append(os.Environ(), "HERMES_TEST_LOCK="+w.slot("coder", superviseLock))
		return cmd
	}
	if out, err := holder().CombinedOutput(); err == nil || !strings.Contains(string(out), "permission denied") {
		t.Fatalf("the agent can open the lock: %s, %v", out, err)
	}

	// Before, the file was readable.
	w.olden("coder")
	holding := holder()
	out, err := holding.StdoutPipe()
	must(t, err)
	must(t, holding.Start())
	defer func() { _ = holding.Process.Kill(); _ = holding.Wait() }()
	_, err = out.Read(make([]byte, 1))
	must(t, err)
	w.startSvscan()
	w.untilUp("live")
	time.Sleep(1200 * time.Millisecond) // s6-svscan tries again each second

	w.options.Live = true
	w.carryOut(w.wantPlan(d, "update coder "+oldParts+"; update live supervise/lock; rescan; bring-up coder"))
	want := fmt.Sprintf("gateway-coder: process %d has a lock on supervise/lock and keeps the supervisor from starting: end that process", holding.Process.Pid)
	if len(w.last.Alarms) != 1 || w.last.Alarms[0].Code != policy.CodeUntrusted || w.last.Alarms[0].Reason != want {
		t.Errorf("alarms: %s, want %s", asJSON(w.last.Alarms), want)
	}
	w.untilUp("coder")
	w.wantPlan(d, "")
	if got := w.alarmCodes(); got != "" {
		t.Errorf("alarms: %s", got)
	}
	time.Sleep(2500 * time.Millisecond)
	if n := strings.Count(fmt.Sprint(w.processes()), "s6-supervise gateway-coder"); n != 2 { // with its logger's
		t.Errorf("%d supervisors: %v", n, w.processes())
	}
}

// holdLock locks a file for reading until the process ends.
func holdLock(path string) {
	file, err := os.Open(path)
	if err == nil {
		err = unix.FcntlFlock(file.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart})
	}
	if err != nil {
		fmt.Print(err)
		os.Exit(1)
	}
	fmt.Print("held")
	time.Sleep(time.Hour)
}

// The user of a slot that was upstream's once has left what leads root elsewhere. Strict
// ownership takes everything back while it runs, or says what to do.
func TestStrictAfterUpstream(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	for _, whose := range []string{"ours", "upstream's"} {
		t.Run(whose, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d := decide("coder=start", "idle=down")
			w.startSvscan()
			w.exec.Upstream = true
			w.apply(d)
			before := w.untilUp("coder")
			if whose == "upstream's" {
				w.likeUpstream("coder")
				w.likeUpstream("idle")
			}
			victim, absent := filepath.Join(w.base, "victim"), filepath.Join(w.base, "absent")
			must(t, os.WriteFile(victim, []byte("precious"), 0o644))
			for _, name := range []string{"coder", "coder/supervise", "coder/log", "coder/log/supervise", "coder/event", "idle"} {
				slot, rest, _ := strings.Cut(name, "/")
				must(t, os.Chown(w.slot(slot, rest), hermesID, hermesID))
			}
			traps := "cd " + w.slot("coder") + "; ln -s " + victim + " supervise/status.new; ln -s " + absent + " log/supervise/new; mkdir -p event/a/b/c; " +
				"ln -s " + victim + " event/" + subscription + "; rm -f finish; mkdir finish; echo 'touch " + absent + "' >max-death-tally; " +
				"mkdir " + w.scan + "/mine; cp run " + w.scan + "/mine/run; mkdir " + w.scan + "/" + scandir.StagingPrefix + "x"
			if out, err := w.asHermes(traps); err != nil {
				t.Fatalf("%v: %s", err, out)
			}

			w.exec.Upstream = false
			w.carryOut(w.plan(d))
			if got := brief(w.last.Operations); !strings.HasPrefix(got, "update . .,") || !strings.Contains(got, "update coder .,") ||
				!strings.Contains(got, "remove "+scandir.StagingPrefix) {
				t.Errorf("plan: %s", got)
			}
			for _, want := range []string{"the scan directory " + w.scan + ": . belongs to uid 10000", "gateway-coder: . belongs to uid 10000", "uid 10000 made mine, which s6-svscan would run as root"} {
				if !slices.ContainsFunc(w.last.Alarms, func(a policy.Alarm) bool { return a.Code == policy.CodeUntrusted && strings.Contains(a.Reason, want) }) {
					t.Errorf("no alarm %q in %s", want, asJSON(w.last.Alarms))
				}
			}
			if after := w.facts().Slots["gateway-coder"]; after.PID != before.PID {
				t.Errorf("the gateway is another: %+v, was %+v", after, before)
			}
			wantMode(t, w.scan, 0o755, 0, 0)
			wantMode(t, filepath.Join(w.scan, supervise.Svscan.Control), 0o600, 0, 0)
			wantMode(t, filepath.Join(w.scan, scandir.LockName), 0o600, 0, 0)
			out, err := exec.Command("find", w.scan, "-user", fmt.Sprint(hermesID), "-o", "-perm", "/022", "-not", "-type", "l", "-not", "-name", "control").Output()
			got := strings.Fields(string(out))
			if err != nil || len(got) != 2 || !strings.HasPrefix(got[0], w.scan+"/"+scandir.StagingPrefix) || got[1] != got[0]+"/run" {
				t.Errorf("not root's alone: %v, %v, want mine under a name that s6-svscan ignores", got, err)
			}
			wantFile(t, victim, "precious")

			// The next pass removes the strange service, and nothing is left to do.
			w.apply(d)
			w.wantPlan(d, "")
			if got := w.alarmCodes(); got != "" {
				t.Errorf("alarms: %s", asJSON(w.last.Alarms))
			}
			w.options.Live = true
			w.apply(decide("coder=down", "idle=start"))
			w.untilUp("idle")
			w.apply(decide("coder=start", "idle=down"))
			w.untilUp("coder")
			wantFile(t, victim, "precious")
			if _, err := os.Lstat(absent); err == nil {
				t.Errorf("%s was made", absent)
			}
		})
	}
}

// likeUpstream turns a slot into one as upstream's program makes it, which the user owns.
func (w *world) likeUpstream(profile string) {
	w.t.Helper()
	must(w.t, os.RemoveAll(w.slot(profile, "data")))
	must(w.t, os.WriteFile(w.slot(profile, "run"), []byte("#!/bin/sh\nexec "+w.base+"/gateway gateway run --replace\n"), 0o755))
	for _, name := range []string{"run", "finish", "type", "log/run", superviseControl, "log/" + superviseControl, "log/event"} {
		must(w.t, os.Chown(w.slot(profile, name), hermesID, hermesID))
	}
}

// What cannot be taken back is an alarm that stays.
func TestUntrustedSurroundings(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	for name, test := range map[string]struct {
		prepare func(w *world)
		want    string
	}{
		"the user is root":        {func(w *world) { w.exec.User = trust.User{Name: "root"} }, "the gateways' user has uid 0"},
		"a parent of the agent's": {func(w *world) { must(w.t, os.Chown(w.base, hermesID, hermesID)) }, "is owned by uid 10000, the user of the agents"},
		"a parent open to all":    {func(w *world) { must(w.t, os.Chmod(w.base, 0o777)) }, "can be written by uid 10000"},
		"a script of s6-svscan's": {func(w *world) { w.stranger(".s6-svscan/SIGTERM") }, ".s6-svscan/SIGTERM belongs to uid 10000"},
		"an open script": {func(w *world) {
			must(w.t, os.WriteFile(w.scan+"/.s6-svscan/crash", nil, 0o755))
			must(w.t, os.Chmod(w.scan+"/.s6-svscan/crash", 0o777))
		}, ".s6-svscan/crash can be written by others"},
		"a file as control FIFO": {func(w *world) { must(w.t, os.WriteFile(filepath.Join(w.scan, supervise.Svscan.Control), nil, 0o644)) }, "another kind of file"},
		"a service of a stranger's": {func(w *world) {
			must(w.t, os.Mkdir(w.scan+"/service", 0o755))
			must(w.t, os.Chown(w.scan+"/service", 12345, 12345))
		}, "service belongs to uid 12345; s6-svscan runs it as root"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			must(t, os.Mkdir(w.scan+"/.s6-svscan", 0o755))
			test.prepare(w)
			for range 2 {
				w.apply(decide("coder=down"))
				if got := w.last.Alarms; len(got) != 1 || got[0].Code != policy.CodeUntrusted || !strings.Contains(got[0].Reason, test.want) {
					t.Errorf("alarms: %s, want %q", asJSON(got), test.want)
				}
			}
			w.wantPlan(decide("coder=down"), "")
		})
	}
}

// What the gateways' user put into the scan directory while it was the user's is out of the
// way before root has it scanned, and gone after the next pass.
func TestPlantedServicesNeverRun(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	w.startSvscan()
	w.exec.Upstream = true
	w.apply(decide("coder=start"))
	w.untilUp("coder")
	proof := filepath.Join(w.base, "proof")
	for _, name := range []string{"own", "gateway-other", "gateway-writer"} {
		w.stranger(name)
		script(t, filepath.Join(w.scan, name, "run"), "echo "+name+" >>"+proof+"\nexec sleep 10000\n")
	}

	w.exec.Upstream = false
	w.apply(decide("coder=start", "writer=start"))
	w.untilUp("coder")
	w.apply(decide("coder=start", "writer=start"))
	w.untilUp("writer")
	if text, err := os.ReadFile(proof); err == nil {
		t.Errorf("root ran %s", strings.Fields(string(text)))
	}
	w.wantPlan(decide("coder=start", "writer=start"), "")
	if left, _ := filepath.Glob(filepath.Join(w.scan, "{own,gateway-other,"+scandir.StagingPrefix+"*}")); len(left) > 0 || len(w.last.Alarms) > 0 {
		t.Errorf("left: %v, alarms %s", left, asJSON(w.last.Alarms))
	}
}

// stranger makes an entry of the agent's in the scan directory.
func (w *world) stranger(name string) {
	w.t.Helper()
	must(w.t, os.Mkdir(filepath.Join(w.scan, name), 0o755))
	must(w.t, os.Chown(filepath.Join(w.scan, name), hermesID, hermesID))
}

// An undecided slot of an older version is mended too.
func TestUndecidedSlotIsTakenBack(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	w.apply(decide("coder=down"))
	w.olden("coder")
	undecided := decide("coder=down")
	one := undecided.Profiles["coder"]
	one.Undecided, one.Env = true, map[string]string{"A": "b"}
	undecided.Profiles["coder"] = one
	w.carryOut(w.wantPlan(undecided, "update coder "+oldParts))
	w.wantPlan(undecided, "")
	w.wantPlan(decide("coder=down"), "")
	must(t, os.Chown(w.slot("coder"), hermesID, hermesID))
	w.wantPlan(undecided, "update . gateway-coder") // no supervisor has it yet: it is set aside
	if got := w.alarmCodes(); got != "untrusted coder; untrusted" {
		t.Errorf("alarms: %s", asJSON(w.last.Alarms))
	}
}
