package s6

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
	"hermes-reconcile/s6/scandir"
)

// newWatchWorld is a world whose executor makes the service.
func newWatchWorld(t *testing.T) *world {
	t.Helper()
	s6test.WantRoot(t)
	w := newWorld(t)
	script(t, filepath.Join(w.base, "program"), "echo \"uid $(id -u) path $PATH args $*\"\nexec sleep 10000\n")
	w.exec.Watch = []string{filepath.Join(w.base, "program"), "watch", "--home=" + w.home}
	w.options.Service = true
	return w
}

func (w *world) service(name ...string) string {
	return filepath.Join(append([]string{w.scan, policy.WatchSlot}, name...)...)
}

func (w *world) untilServed() policy.Slot {
	w.t.Helper()
	w.until("the service is up", func() bool { s := w.facts().Watch; return s != nil && s.Up })
	return *w.facts().Watch
}

// The service is made with the first plan, starts with the scan, and is nobody's but root's.
func TestServiceStarts(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t)
	d := decide("coder=start", "writer=down")
	w.options.Rescan = false // as a boot
	w.carryOut(w.wantPlan(d, "publish hermes-reconcile; publish coder; publish writer down"))
	w.wantPlan(d, "")
	if f := w.facts(); f.Watch == nil || !f.Watch.Ours || f.Watch.Up || len(f.Slots) != 2 {
		t.Fatalf("before the scan: %s", asJSON(f))
	}

	w.startSvscan()
	served, gateway := w.untilServed(), w.untilUp("coder")
	log := filepath.Join(w.home, "logs/hermes-reconcile/current")
	w.until("the log has the line of the service", func() bool {
		text, _ := os.ReadFile(log)
		return strings.Contains(string(text), "uid 0 path ") && strings.Contains(string(text), " args watch --home="+w.home+"\n")
	})
	wantMode(t, filepath.Dir(log), 0o755, hermesID, hermesID)

	s6test.Signal(t, served.PID, unix.SIGKILL)
	w.until("another one runs", func() bool { now := w.facts().Watch; return now.Up && now.PID != served.PID })
	second := w.untilServed().PID
	must(t, exec.CommandContext(t.Context(), "s6-svc", "-r", w.service()).Run())
	w.until("a third one runs", func() bool { now := w.facts().Watch; return now.Up && now.PID != second })
	if now := w.untilUp("coder"); now.PID != gateway.PID {
		t.Errorf("the gateway was started anew: pid %d, was %d", now.PID, gateway.PID)
	}
}

// The agent can neither stop the service nor change its slot, and what it could is taken back.
func TestServiceIsRoots(t *testing.T) {
	t.Parallel()
	for ownership, upstream := range map[string]bool{"strict": false, "upstream": true} {
		t.Run(ownership, func(t *testing.T) {
			t.Parallel()
			w := newWatchWorld(t)
			w.exec.Upstream = upstream
			w.startSvscan()
			w.apply(decide("coder=start"))
			before := w.untilServed().PID
			for _, prefix := range []string{"", "log/"} {
				wantMode(t, w.service(prefix+"event"), 0o700, 0, 0)
				wantMode(t, w.service(prefix+superviseLock), 0o600, 0, 0)
				wantMode(t, w.service(prefix+superviseControl), 0o600, 0, 0)
			}
			for _, script := range []string{
				"s6-svc -d %s", "s6-svc -d %s/log", "echo >%s/run", "rm %s/finish", ": >%s/data/pause", ": >%s/down", "mkdir %s/supervise/x", "kill $(cat %s/supervise/status)",
			} {
				script = fmt.Sprintf(script, w.service())
				if out, err := w.asHermes(script); err == nil {
					t.Errorf("the agent can: %s: %s", script, out)
				}
			}
			if now := w.untilServed().PID; now != before {
				t.Errorf("the service was started anew: pid %d, was %d", now, before)
			}
		})
	}
}

// Parts that another user got are taken back while the service runs.
func TestServiceIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t)
	w.startSvscan()
	d := decide("coder=start")
	w.apply(d)
	before := w.untilServed().PID
	must(t, os.Chown(w.service("data"), hermesID, hermesID))
	must(t, os.Chmod(w.service(superviseControl), 0o666))
	must(t, os.Chown(w.service("run"), hermesID, hermesID))
	w.options.Live = true
	w.carryOut(w.wantPlan(d, "update hermes-reconcile data,supervise/control,run"))
	if got := w.alarmCodes(); got != policy.CodeUntrusted {
		t.Errorf("alarms: %s", got)
	}
	wantMode(t, w.service(superviseControl), 0o600, 0, 0)
	wantMode(t, w.service("data"), 0o755, 0, 0)
	wantMode(t, w.service("run"), 0o755, 0, 0)
	w.wantPlan(d, "")
	must(t, os.Chmod(w.service(), 0o777))
	w.carryOut(w.wantPlan(d, "update hermes-reconcile ."))
	if got := w.alarmCodes(); got != "" {
		t.Errorf("alarms: %s", got)
	}
	if now := w.untilServed().PID; now != before {
		t.Errorf("the service was started anew: pid %d, was %d", now, before)
	}
}

// A live pass mends the files of the service and leaves alone its command, its down file, and
// whether it runs. A boot gives it its own command.
func TestServiceIsLeftAsItsOperatorHasIt(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t)
	w.startSvscan()
	d := decide("coder=start")
	w.apply(d)
	w.untilServed()
	must(t, exec.CommandContext(t.Context(), "s6-svc", "-wD", "-T", "20000", "-D", w.service()).Run())
	must(t, os.WriteFile(w.service("finish"), []byte("#!/bin/sh\nexit 125\n"), 0o755))
	w.exec.Watch = append(w.exec.Watch, "--log-level=debug")
	w.options.Live = true
	w.carryOut(w.wantPlan(d, "update hermes-reconcile finish"))
	w.wantPlan(d, "")
	if f := w.facts().Watch; f.Up || !f.DownFile {
		t.Errorf("it runs again: %s", asJSON(f))
	}
	w.options.Live = false
	w.carryOut(w.wantPlan(d, "update hermes-reconcile run"))
	w.wantPlan(d, "")
	if text, err := os.ReadFile(w.service("run")); err != nil || !strings.Contains(string(text), "--log-level=debug") {
		t.Errorf("run: %s, %v", text, err)
	}
}

// Without the service in the configuration, a pass that knows every profile removes it. Others
// leave it alone.
func TestServiceIsRemoved(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t)
	w.startSvscan()
	d := decide("coder=start")
	w.apply(d)
	w.untilServed()
	gateway := w.untilUp("coder").PID
	all := w.options
	for name, o := range map[string]policy.PlanOptions{
		"some profiles": {Rescan: true, Live: true}, "not all profiles known": {Rescan: true, Live: true, Service: true},
	} {
		t.Log(name)
		w.exec.Watch, w.options = nil, o
		w.wantPlan(d, "")
	}
	w.options = all
	w.carryOut(w.wantPlan(d, "remove hermes-reconcile; rescan"))
	w.wantPlan(d, "")
	if f := w.facts(); f.Watch != nil || f.Slots["gateway-coder"].PID != gateway {
		t.Errorf("after: %s", asJSON(f))
	}
	w.until("only s6-svscan, and two supervisors, a gateway and its logger are left", func() bool { return len(w.processes()) == 5 })

	// What only has its name is another's.
	must(t, os.MkdirAll(w.service(), 0o755))
	w.wantPlan(d, "")
	w.exec.Watch = []string{filepath.Join(w.base, "program")}
	w.wantPlan(d, "")
	if got := w.alarmCodes(); got != "slot_foreign" {
		t.Errorf("alarms: %s", got)
	}
}

// A container that supervises nothing has no service, and some named profiles make none.
func TestNoService(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t)
	w.wantPlan(policy.Decisions{Skip: []policy.Contribution{{Reason: "test"}}}, "")
	w.options.Service = false
	w.wantPlan(decide("coder=down"), "publish coder down")
	w.options.Service, w.exec.Root = true, false
	w.wantPlan(decide("coder=down"), "publish coder down")
}

// Root runs no program that another user could have written.
func TestServiceOfAStranger(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t)
	w.exec.Contenv = w.script("with-contenv", "exec \"$@\"\n")
	for _, program := range []string{w.exec.Contenv, w.exec.Watch[0]} {
		must(t, os.Chown(program, hermesID, hermesID))
		w.wantPlan(decide("coder=down"), "publish coder down")
		if got := w.alarmCodes(); got != "no_watch" {
			t.Errorf("alarms: %s", got)
		}
		if reason := w.last.Alarms[0].Reason; !strings.Contains(reason, program) {
			t.Errorf("the alarm does not name the program: %s", reason)
		}
		must(t, os.Chown(program, 0, 0))
	}
	w.wantPlan(decide("coder=down"), "publish hermes-reconcile; publish coder down")
}

// The service has its place before the gateways, and the next plan agrees.
func TestServiceHasAPlace(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t)
	w.startSvscan(holding(5)...) // s6-overlay has three places
	d := decide("a=start", "b=start", "c=start", "d=down")
	w.carryOut(w.wantPlan(d, "publish hermes-reconcile; publish a; publish b; rescan"))
	if got := w.last.Alarms[0].Reason; !strings.Contains(got, "no slot for c, d: there is room for 2 ") {
		t.Errorf("alarm: %s", got)
	}
	w.untilServed()
	w.wantPlan(d, "")
	if got := w.facts().Capacity; got.Gateways != 2 || got.Used != 6 {
		t.Errorf("capacity: %+v", got)
	}
	w.exec.Watch = nil
	w.carryOut(w.wantPlan(d, "remove hermes-reconcile; publish c; rescan"))

	// There is no place for it any more.
	w.exec.Watch = []string{filepath.Join(w.base, "program")}
	w.wantPlan(d, "")
	if got := w.last.Alarms[0].Reason; !strings.Contains(got, "no slot for hermes-reconcile, d: ") {
		t.Errorf("alarm: %s", got)
	}
	w.exec.Capacity = new(3) // of gateways
	w.wantPlan(d, "publish hermes-reconcile; rescan")
}

// A live pass makes the service, starts it by the scan only, and waits for its supervisors as
// for those of any slot.
func TestScanStartsTheService(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t)
	w.startSvscan()
	w.options.Live = true
	d := decide("coder=start")
	w.carryOut(w.wantPlan(d, "publish hermes-reconcile; publish coder; rescan; bring-up coder"))
	w.untilServed()

	w.exec.Watch = nil
	w.apply(d)
	w.exec.Watch = []string{filepath.Join(w.base, "program")}
	w.options.Rescan = false
	w.apply(d)
	must(t, os.Remove(w.service(superviseLock)))
	must(t, os.Mkdir(w.service(superviseLock), 0o700)) // so its supervisor cannot start
	w.waiting.Wait = time.Second
	results := w.execute([]policy.Operation{{Op: policy.OpRescan}})
	if err := results[0].Err; err == nil || !strings.Contains(err.Error(), "not supervised after 1s: hermes-reconcile") {
		t.Errorf("a scan without a supervisor for the service: %v", err)
	}
}

// The events of the directories tell that a gateway comes up or ends, and that slots come and go.
func TestEventsOfGateways(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t)
	w.startSvscan()
	w.apply(decide("coder=start", "writer=down"))
	w.untilUp("coder")
	w.untilServed()
	dirs := scandir.EventDirs(w.scan)
	want := []string{w.scan, w.slot("coder", "supervise"), w.slot("writer", "supervise")}
	if slices.Sort(dirs); !slices.Equal(dirs, want) {
		t.Fatalf("got %q, want %q", dirs, want)
	}
	events, err := fsnotify.NewWatcher()
	must(t, err)
	defer events.Close()
	for _, dir := range dirs {
		must(t, events.Add(dir))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next := func(what, profile string) {
		t.Helper()
		for {
			select {
			case event := <-events.Events:
				if got, means := scandir.EventProfile(w.scan, event.Name); means && got == profile {
					return
				}
			case <-ctx.Done():
				t.Fatalf("no event of %q: %s", profile, what)
			}
		}
	}
	drain := func() {
		for {
			select {
			case <-events.Events:
			case <-time.After(200 * time.Millisecond):
				return
			}
		}
	}
	for _, command := range []string{"-d", "-u", "-k"} {
		drain()
		must(t, exec.CommandContext(ctx, "s6-svc", command, w.slot("coder")).Run())
		next("s6-svc "+command, "coder")
	}
	drain()
	w.apply(decide("coder=start", "writer=down", "new=down"))
	next("a slot comes", "")
	drain()
	w.apply(decide("coder=start", "new=down"))
	next("a slot goes", "")
}

// Only what tells about slots and gateways has a meaning.
func TestEventProfile(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"": "yes", "gateway-coder": "yes", "hermes-reconcile": "yes", "other": "yes",
		"gateway-coder/supervise/status": "yes coder", "gateway-coder/supervise": "yes coder", "gateway-coder/down": "yes coder",
		".hermes-reconcile.lock": "no", scandir.StagingName(): "no", ".gateway-coder.tmp": "no", ".s6-svscan/lock": "no",
		"gateway-coder/supervise/status.new": "no", "gateway-coder/supervise/death_tally": "no", "gateway-coder/supervise/control": "no",
		"hermes-reconcile/supervise/status": "no", "../scan2": "no",
	} {
		got := "no"
		if profile, means := scandir.EventProfile("/run/service", filepath.Join("/run/service", path)); means {
			got = strings.TrimSpace("yes " + profile)
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", path, got, want)
		}
	}
}
