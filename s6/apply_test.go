package s6

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/s6/s6test"
	"hermes-reconcile/s6/scripts"
	"hermes-reconcile/s6/supervise"
)

// newLive is a world with s6-svscan in which plans start and stop.
func newLive(t *testing.T) *world {
	w := newWorld(t)
	w.startSvscan()
	w.options.Live = true
	return w
}

// On a live tree a plan has only the differences, and a new gateway runs once the plan
// is carried out.
func TestLivePlan(t *testing.T) {
	t.Parallel()
	w := newLive(t)
	d := decide("coder=start", "writer=down")
	w.carryOut(w.wantPlan(d, "publish coder; publish writer down; rescan; bring-up coder"))
	coder := w.facts().Slots["gateway-coder"]
	if !coder.Up {
		t.Errorf("coder is not up after apply: %s", asJSON(coder))
	}
	w.wantPlan(d, "")

	w.carryOut(w.wantPlan(decide("coder=down", "writer=start", "later=start"), "publish later; bring-down coder; rescan; bring-up later; bring-up writer"))
	w.wantPlan(decide("coder=down", "writer=start", "later=start"), "")
	for profile, up := range map[string]bool{"coder": false, "writer": true, "later": true} {
		f := w.facts().Slots[policy.SlotName(profile)]
		if f.Up != up || f.DownFile == up {
			t.Errorf("%s: %s", profile, asJSON(f))
		}
	}
}

// A supervisor holds its lock a moment before it listens. The test makes the moment long.
func TestSupervisorThatDoesNotListenYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.options.Live = true
	startSlow(t, w.base, w.scan, superviseControl, 500*time.Millisecond)
	w.apply(decide("coder=start", "writer=down"))
	w.apply(decide("coder=down", "writer=start"))
	w.apply(decide("coder=start"))
	for profile, up := range map[string]bool{"coder": true, "writer": false} {
		if f := w.facts().Slots[policy.SlotName(profile)]; f.Up != up {
			t.Errorf("%s: %s", profile, asJSON(f))
		}
	}
}

// When the evaluation of the rules did not finish, existing slots stay as they are.
func TestUndecidedStaysAsItIs(t *testing.T) {
	t.Parallel()
	w := newLive(t)
	w.apply(decide("coder=start", "writer=down"))
	d := decide("coder=down", "writer=down", "later=down")
	for name, one := range d.Profiles {
		one.Undecided = true
		one.Env = map[string]string{"A": "b"}
		d.Profiles[name] = one
	}
	w.carryOut(w.wantPlan(d, "publish later down; rescan"))
	w.wantPlan(d, "")
	if !w.facts().Slots["gateway-coder"].Up {
		t.Error("coder was stopped")
	}
}

// A changed run script takes effect at the next start. Only RestartChanged restarts the
// gateway; without it, later plans still report the gateway as pending.
func TestChangedRunScript(t *testing.T) {
	t.Parallel()
	w := newLive(t)
	w.apply(decide("coder=start", "writer=down"))
	before := w.untilUp("coder").PID
	d := decide("coder=start", "writer=down")
	for name, one := range d.Profiles {
		one.Env = map[string]string{"GREETING": "hello"}
		d.Profiles[name] = one
	}
	w.carryOut(w.wantPlan(d, "update coder run; update writer run"))
	w.wantPlan(d, "")
	if got := strings.Join(w.last.Pending, " "); got != "coder" {
		t.Errorf("pending: %q, want coder", got)
	}
	if f := w.facts().Slots["gateway-coder"]; f.PID != before || !f.Changed {
		t.Errorf("coder: %s", asJSON(f))
	}
	w.options.RestartChanged = true
	w.carryOut(w.wantPlan(d, "bring-down coder; bring-up coder"))
	// The new run script removes the mark when it starts.
	w.until("coder runs with the new run script", func() bool {
		f := w.facts().Slots["gateway-coder"]
		return f.PID != before && !f.Changed
	})
	w.wantPlan(d, "")
	if len(w.last.Pending) != 0 {
		t.Errorf("pending: %v", w.last.Pending)
	}
}

// A new delay changes no run script and leaves a running gateway alone.
func TestDelayOfALiveSlot(t *testing.T) {
	t.Parallel()
	w := newLive(t)
	w.apply(decide("coder=start", "writer=down"))
	d := decide("coder=start", "writer=start")
	for name, one := range d.Profiles {
		one.DelaySeconds = 3600
		d.Profiles[name] = one
	}
	w.carryOut(w.wantPlan(d, "bring-up writer"))
	writer := w.facts().Slots["gateway-writer"]
	if writer.WaitingUntilUnix < time.Now().Unix()+3000 {
		t.Errorf("writer does not wait: %s", asJSON(writer))
	}
	w.wantPlan(d, "")
	// A start without a delay ends the waiting.
	w.carryOut([]policy.Operation{
		{Op: policy.OpBringDown, Slot: "gateway-writer"}, {Op: policy.OpBringUp, Slot: "gateway-writer"},
	})
	if f := w.facts().Slots["gateway-writer"]; f.WaitingUntilUnix != 0 {
		t.Errorf("writer still waits: %s", asJSON(f))
	}
}

// Execute waits for all gateways that do not stop at once, and kills them with Kill.
func TestForce(t *testing.T) {
	t.Parallel()
	w := newLive(t)
	w.exec.Command = []string{w.script("stubborn", "trap '' TERM\necho ready\nwhile :; do sleep 0.05; done\n")}
	w.apply(decide("a=start", "b=start", "c=start"))
	for _, profile := range []string{"a", "b", "c"} {
		w.until(profile+" ignores TERM", func() bool {
			text, _ := os.ReadFile(filepath.Join(w.home, "logs/gateways", profile, "current"))
			return strings.Contains(string(text), "ready")
		})
	}
	w.waiting.Wait = time.Second
	d := decide("a=down", "b=down", "c=down")
	started := time.Now()
	for _, r := range w.execute(w.plan(d)) {
		if r.Err == nil || !strings.Contains(r.Err.Error(), "not down after 1s: pid ") {
			t.Errorf("%s: %v", r.Operation.Slot, r.Err)
		}
	}
	if took := time.Since(started); took > 3*time.Second {
		t.Errorf("Execute waited for three gateways one after the other: %v", took)
	}
	w.waiting.Kill, w.waiting.Wait = true, 5*time.Second
	w.apply(d)
	w.wantPlan(d, "")
}

// A stop that also waited after a kill reports the whole time.
func TestLatenessAfterAKill(t *testing.T) {
	t.Parallel()
	w := newLive(t)
	w.exec.Upstream = true // under strict, root ends a supervisor that does not answer
	w.apply(decide("coder=start"))
	slot, err := beneath.OpenDir(filepath.Join(w.scan, "gateway-coder"))
	must(t, err)
	defer slot.Close()
	_, pid, err := supervise.Service.Runs(slot)
	must(t, err)
	s6test.Signal(t, pid, unix.SIGSTOP)
	defer s6test.Signal(t, pid, unix.SIGCONT)
	w.waiting.Kill, w.waiting.Wait = true, time.Second
	for _, r := range w.execute(w.plan(decide("coder=down"))) {
		if r.Operation.Op == policy.OpBringDown && (r.Err == nil || !strings.Contains(r.Err.Error(), "the gateway is not down after 6s")) {
			t.Errorf("%s: %v", r.Operation.Slot, r.Err)
		}
	}
}

// With UpFor, the start of a gateway that ends soon fails.
func TestUpFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec.Command = []string{w.script("short", "case \"$2\" in coder) sleep 0.2; exit 3 ;; esac\nexec sleep 10000\n")}
	w.startSvscan()
	w.options.Live = true
	w.waiting.UpFor = 800 * time.Millisecond
	results := w.execute(w.plan(decide("coder=start", "writer=start")))
	for _, r := range results {
		ends := r.Operation.Op == policy.OpBringUp && r.Operation.Profile == "coder"
		if ends != (r.Err != nil) {
			t.Errorf("%s %s: %v", r.Operation.Op, r.Operation.Profile, r.Err)
		}
	}
}

// s6-supervise forgets a start that comes while the finish script runs when the script
// then exits with 125, as after an intended stop. Execute asks again.
func TestStartDuringFinish(t *testing.T) {
	t.Parallel()
	w := newLive(t)
	w.exec.Command = []string{w.script("stops", "trap 'exit 0' TERM\nwhile :; do sleep 0.05; done\n")}
	w.apply(decide("coder=start"))
	must(t, os.WriteFile(w.slot("coder", "finish"), []byte("#!/bin/sh\nsleep 1\nexit 125\n"), 0o755))
	w.control("coder", "d")
	w.until("the finish script runs", func() bool { return w.status("coder").Finishing })
	w.carryOut([]policy.Operation{{Op: policy.OpBringUp, Slot: "gateway-coder"}})
	if f := w.facts().Slots["gateway-coder"]; !f.Up || f.DownFile {
		t.Errorf("coder: %s", asJSON(f))
	}
}

// An s6-svscan that has just started holds its lock and does not listen yet.
func TestApplyWhileSvscanStarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	startSlow(t, w.base, w.scan, supervise.Svscan.Control, 500*time.Millisecond)
	w.options.Live = true
	w.apply(decide("coder=start"))
	if f := w.facts().Slots["gateway-coder"]; !f.Up {
		t.Errorf("coder: %s", asJSON(f))
	}
}

// Execute reports an s6-svscan that runs and does not listen.
func TestApplyWithoutTheControlOfSvscan(t *testing.T) {
	t.Parallel()
	w := newLive(t)
	w.waiting.Wait = time.Second
	must(t, os.Remove(filepath.Join(w.scan, supervise.Svscan.Control)))
	var reported []string
	for _, r := range w.execute(w.plan(decide("coder=down"))) {
		if r.Err != nil {
			reported = append(reported, r.Err.Error())
		}
	}
	if got := strings.Join(reported, "; "); !strings.Contains(got, "it holds its lock and does not listen") {
		t.Errorf("reported: %q", got)
	}
}

// A stop fails when the supervisor runs and does not listen: the gateway still runs.
func TestStopWithoutTheControlOfTheSupervisor(t *testing.T) {
	t.Parallel()
	w := newLive(t)
	w.apply(decide("coder=start"))
	must(t, os.Remove(w.slot("coder", superviseControl)))
	w.waiting.Wait = time.Second
	stop := []policy.Operation{{Op: policy.OpBringDown, Profile: "coder", Slot: "gateway-coder"}}
	results := w.execute(stop)
	if len(results) != 1 || results[0].Err == nil || !strings.Contains(results[0].Err.Error(), "it holds its lock and does not listen") {
		t.Errorf("results: %+v", results)
	}
	if f := w.facts().Slots["gateway-coder"]; !f.Up {
		t.Errorf("coder: %s", asJSON(f))
	}
}

// A gateway stays down although another user, who takes no lock, removes the down file.
func TestStopWhileTheDownFileGoes(t *testing.T) {
	t.Parallel()
	w := newLive(t)
	w.apply(decide("coder=start"))
	must(t, os.WriteFile(w.slot("coder", "finish"), []byte("#!/bin/sh\nrm -f down\nexit 125\n"), 0o755))
	w.carryOut([]policy.Operation{{Op: policy.OpBringDown, Slot: "gateway-coder"}})
	if f := w.facts().Slots["gateway-coder"]; f.Up || !f.DownFile {
		t.Errorf("coder: %s", asJSON(f))
	}
}

// control writes a command to the supervisor of a slot, as s6-svc does.
func (w *world) control(profile, command string) {
	w.t.Helper()
	slot := w.open(profile)
	defer slot.Close()
	must(w.t, supervise.Service.Ask(slot, command))
}

func (w *world) status(profile string) supervise.Status {
	w.t.Helper()
	slot := w.open(profile)
	defer slot.Close()
	s, _ := supervise.ReadStatus(slot)
	return s
}

func (w *world) open(profile string) beneath.Dir {
	w.t.Helper()
	slot, err := beneath.OpenDir(w.slot(profile))
	must(w.t, err)
	return slot
}

// The unprivileged user controls slots that belong to root, and cannot make any.
func TestUnprivilegedControl(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newLive(t)
	w.apply(decide("coder=start", "writer=down"))
	as := func(words ...string) string { return w.runAs(hermesID, "", words...) }
	if out := as("coder=down", "writer=start"); out != "bring-down coder: <nil>; bring-up writer: <nil>" {
		t.Errorf("as the user: %s", out)
	}
	w.wantPlan(decide("coder=down", "writer=start"), "")
	if out := as("coder=down", "writer=start", "later=down"); !strings.Contains(out, "this user cannot make one: make the directory") {
		t.Errorf("as the user: %s", out)
	}
	if got := strings.Join(w.visible(), " "); got != "gateway-coder gateway-writer" {
		t.Errorf("visible: %s", got)
	}
}

// A start by the unprivileged user ends a pause too, although root owns the pause file:
// the run script removes the file when it is stopped.
func TestUnprivilegedStartEndsAPause(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newLive(t)
	d := decide("coder=start")
	one := d.Profiles["coder"]
	one.DelaySeconds = 3600
	d.Profiles["coder"] = one
	w.apply(d)
	if f := w.facts().Slots["gateway-coder"]; f.WaitingUntilUnix == 0 {
		t.Fatalf("coder does not wait: %s", asJSON(f))
	}
	if out := w.runAs(hermesID, "HERMES_TEST_START=coder", "coder=start"); out != "bring-down coder: <nil>; bring-up coder: <nil>" {
		t.Errorf("as the user: %s", out)
	}
	if f := w.facts().Slots["gateway-coder"]; !f.Up || f.WaitingUntilUnix != 0 {
		t.Errorf("coder still waits: %s", asJSON(f))
	}
}

// runAs applies decisions as another user, with one more environment variable, and
// returns how each operation ended.
func (w *world) runAs(id int, env string, words ...string) string {
	w.t.Helper()
	// Not by path: that user may not be able to search the directory of the test.
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: append([]string{"apply"}, words...)}
	cmd.Env = append(os.Environ(), "HERMES_TEST_APPLY="+w.scan, env)
	out, err := s6test.As(id, cmd).CombinedOutput()
	must(w.t, err)
	return string(out)
}

func applyAndPrint(scan string, words []string) {
	base := filepath.Dir(scan)
	e := &Executor{
		ScanDir: scan, User: trust.User{UID: hermesID, GID: hermesID},
		Settings: scripts.Settings{
			Home: filepath.Join(base, "home"), Command: []string{filepath.Join(base, "gateway")}, Args: []string{"gateway", "run", "--replace"},
		},
	}
	o := policy.PlanOptions{Rescan: true, Live: true}
	if asked := os.Getenv("HERMES_TEST_START"); asked != "" {
		o.Start = []string{asked}
	}
	if _, err := e.Lock(context.Background()); !errors.Is(err, fs.ErrPermission) {
		fmt.Printf("lock: %v", err)
	}
	plan, err := e.Plan(context.Background(), decide(words...), o)
	if err != nil {
		fmt.Print(err)
	}
	if op := os.Getenv("HERMES_TEST_OPERATION"); op != "" {
		plan.Operations = []policy.Operation{{Op: policy.Op(op), Slot: "gateway-coder"}}
	}
	var lines []string
	for _, r := range e.Execute(context.Background(), plan.Operations, policy.ExecuteOptions{Wait: 5 * time.Second}) {
		lines = append(lines, fmt.Sprintf("%s %s: %v", r.Operation.Op, r.Operation.Profile, r.Err))
	}
	fmt.Print(strings.Join(lines, "; "))
}

// A user who may not change the down file gets an error when only a start or a stop could
// change it.
func TestUnprivilegedDownFileOfARunningGateway(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newLive(t)
	w.apply(decide("coder=start"))
	if out := w.runAs(hermesID, "HERMES_TEST_OPERATION=mark-down"); !strings.Contains(out, "make down: permission denied") {
		t.Errorf("mark-down: %s", out)
	}
	if f := w.facts().Slots["gateway-coder"]; !f.Up || f.DownFile {
		t.Errorf("coder: %s", asJSON(f))
	}
	w.apply(decide("coder=down"))
	if out := w.runAs(hermesID, "HERMES_TEST_OPERATION=clear-down"); !strings.Contains(out, "remove down: permission denied") {
		t.Errorf("clear-down: %s", out)
	}
	if f := w.facts().Slots["gateway-coder"]; f.Up || !f.DownFile {
		t.Errorf("coder: %s", asJSON(f))
	}
}

// The environment of rules reaches the gateway, and no program that root runs before it.
func TestEnvironmentOfRulesIsNotRoots(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newLive(t)
	evil := filepath.Join(w.base, "evil")
	must(t, os.Mkdir(evil, 0o755))
	ran := filepath.Join(w.base, "evil-ran")
	for _, program := range []string{"id", "cat", "rm", "sleep", "s6-setuidgid"} {
		must(t, os.WriteFile(filepath.Join(evil, program), []byte("#!/bin/sh\necho $0 >>"+ran+"\necho 0\n"), 0o755))
	}
	w.exec.Command = []string{w.script("telling", "echo \"path $PATH greeting $GREETING\"\nexec /bin/sleep 10000\n")}
	d := decide("coder=start")
	one := d.Profiles["coder"]
	one.Env, one.DelaySeconds = map[string]string{"PATH": evil, "GREETING": "it's $HOME"}, 0.01
	d.Profiles["coder"] = one
	w.apply(d)
	w.until("the gateway has printed its environment", func() bool {
		text, _ := os.ReadFile(filepath.Join(w.home, "logs/gateways/coder/current"))
		return strings.Contains(string(text), "path "+evil+" greeting it's $HOME")
	})
	if text, err := os.ReadFile(ran); err == nil {
		t.Errorf("run before the gateway: %s", text)
	}
}

// startSlow starts s6-svscan with a delay before any open of a control FIFO: control is its
// path relative to the directory of the process that opens it.
func startSlow(t testing.TB, base, scan, control string, delay time.Duration) *s6test.Svscan {
	t.Helper()
	strace, svscan := s6test.Installed(t, "strace"), s6test.Installed(t, "s6-svscan")
	if out, err := exec.Command(strace, "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace does not work here: %s", out)
	}
	inject := fmt.Sprintf("inject=openat:delay_enter=%d", delay.Microseconds())
	// -D: the process is s6-svscan itself.
	return s6test.Begin(t, base, scan, exec.Command(strace, "-D", "-f", "-qq", "-o", os.DevNull, "-P", control, "-e", "trace=openat", "-e", inject, svscan, scan))
}
