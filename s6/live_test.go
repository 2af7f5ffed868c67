package s6

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
	"hermes-reconcile/s6/scandir"
)

// A started profile runs, a held one waits, and a second run changes nothing.
func TestSlotsComeUpAndWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startSvscan()
	d := decide("coder=start", "writer=down", "default=start")
	w.carryOut(w.wantPlan(d, "publish coder; publish default; publish writer down; rescan"))

	w.untilUp("coder")
	w.untilUp("default")
	f := w.facts()
	writer := f.Slots["gateway-writer"]
	if !*writer.Supervised || !*writer.LoggerSupervised || writer.Up || writer.WantedUp || !writer.DownFile || !writer.Ours {
		t.Errorf("writer: %s", asJSON(writer))
	}
	if f.Manager != "s6-svscan" || f.SvscanPID == 0 || len(f.Leftovers) != 0 {
		t.Errorf("facts: %s", asJSON(f))
	}
	w.wantPlan(d, "")
	if alarms := w.alarmCodes(); alarms != "" {
		t.Errorf("alarms: %s", alarms)
	}

	log := filepath.Join(w.home, "logs/gateways/coder/current")
	w.until("the log has the gateway's line", func() bool {
		text, _ := os.ReadFile(log)
		return strings.Contains(string(text), "args -p coder gateway run --replace home "+w.home+" child 1 uid ")
	})
	if os.Geteuid() == 0 {
		text, _ := os.ReadFile(log)
		if !strings.Contains(string(text), "uid 10000") {
			t.Errorf("the gateway runs as root: %s", text)
		}
		wantMode(t, filepath.Dir(log), 0o755, hermesID, hermesID)
	}
	w.until("the root profile has no -p", func() bool {
		text, _ := os.ReadFile(filepath.Join(w.home, "logs/gateways/default/current"))
		return strings.Contains(string(text), "args gateway run --replace")
	})
}

// A live slot changes file by file, and its gateway goes on.
func TestLiveSlotIsUpdatedInPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startSvscan()
	w.apply(decide("coder=start"))
	before := w.untilUp("coder")
	inode := inodeOf(t, w.slot("coder"))

	d := decide("coder=down")
	one := d.Profiles["coder"]
	one.Env = map[string]string{"GREETING": "it's me"}
	one.Restart = &policy.Restart{ExitCodes: map[string]string{"0": "now"}}
	d.Profiles["coder"] = one
	w.carryOut(w.wantPlan(d, "update coder finish,data/hermes-reconcile.json,run; mark-down coder"))
	w.wantPlan(d, "")
	after := w.facts().Slots["gateway-coder"]
	if after.PID != before.PID || inodeOf(t, w.slot("coder")) != inode || !after.DownFile {
		t.Errorf("the live slot changed: before %s, after %s", asJSON(before), asJSON(after))
	}
	run, err := os.ReadFile(w.slot("coder", "run"))
	must(t, err)
	if !strings.Contains(string(run), `"GREETING=it's me"`) {
		t.Errorf("run script:\n%s", run)
	}

	one.Action = policy.ActionStart
	d.Profiles["coder"] = one
	w.carryOut(w.wantPlan(d, "clear-down coder"))
	w.wantPlan(d, "")
}

func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Sys().(*syscall.Stat_t).Ino
}

// Nothing of a removed slot keeps running: neither supervisor nor logger.
func TestRemovalLeavesNoProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startSvscan()
	w.apply(decide("coder=start", "writer=down", "gone=start", "keep=start"))
	for _, p := range []string{"coder", "gone", "keep"} {
		w.untilUp(p)
	}
	keep := w.facts().Slots["gateway-keep"].PID
	d := decide("coder=skip", "writer=skip", "keep=start")
	w.carryOut(w.wantPlan(d, "remove coder; remove gone; remove writer; rescan"))
	w.wantPlan(d, "")
	if got := w.visible(); len(got) != 1 || len(w.staged()) != 0 {
		t.Errorf("left: %v %v", got, w.staged())
	}
	if now := w.untilUp("keep").PID; now != keep {
		t.Errorf("keep was restarted: pid %d, was %d", now, keep)
	}
	// s6-svscan, and for keep two supervisors, the gateway and its logger.
	w.until("only these five processes are left", func() bool { return len(w.processes()) == 5 })
	w.apply(decide("coder=start", "keep=start"))
	w.untilUp("coder")
}

// The next run finishes a removal that was interrupted after the rename, although the
// gateway still runs under the other name.
func TestInterruptedRemovalIsFinished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startSvscan()
	w.apply(decide("coder=start"))
	w.untilUp("coder")
	must(t, os.Rename(w.slot("coder"), filepath.Join(w.scan, scandir.StagingPrefix+"earlier-1")))

	w.carryOut(w.wantPlan(decide("coder=start"), "remove "+scandir.StagingPrefix+"earlier-1; publish coder; rescan"))
	w.untilUp("coder")
	if got := w.staged(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	w.until("only one s6-svscan, two supervisors, a gateway and a logger run", func() bool { return len(w.processes()) == 5 })
}

// Without s6-svscan, a removal asks the remaining supervisors to end themselves.
func TestRemovalAfterSvscanDied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	svscan := w.startSvscan()
	w.apply(decide("coder=start"))
	w.untilUp("coder")
	svscan.Kill()
	w.carryOut(w.wantPlan(decide("coder=skip"), "remove coder"))
	if left := w.processes(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// The next s6-svscan cannot end the supervisors of one that died: they are not its
// children.
func TestRemovalUnderTheNextSvscan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	svscan := w.startSvscan()
	w.apply(decide("coder=start", "writer=start"))
	w.untilUp("coder")
	w.untilUp("writer")
	svscan.Kill()
	w.startSvscan()
	w.waiting.Wait = 6 * time.Second // half of it passes before the supervisors are asked
	w.carryOut(w.wantPlan(decide("coder=skip", "writer=skip"), "remove coder; remove writer; rescan"))
	if got := w.visible(); len(got) != 0 || len(w.staged()) != 0 {
		t.Errorf("left: %v %v", got, w.staged())
	}
	w.until("only s6-svscan is left", func() bool { return len(w.processes()) == 1 })
}

// A gateway that does not stop keeps its slot, and the other removals go on.
func TestRemovalOfAGatewayThatDoesNotStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec.Command = []string{w.script("stubborn", "case \"$2\" in stubborn) trap '' TERM; while :; do sleep 0.05; done ;; esac\nexec sleep 10000\n")}
	w.startSvscan()
	w.apply(decide("coder=start", "stubborn=start"))
	w.untilUp("coder")
	pid := w.untilUp("stubborn").PID
	w.until("it ignores the signal", func() bool {
		data, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
		return strings.Contains(string(data), "SigIgn:\t0000000000004000") || strings.Contains(string(data), "SigIgn:\t0000000000004")
	})
	w.waiting.Wait = 500 * time.Millisecond
	results := w.execute(w.plan(decide("coder=skip", "stubborn=skip")))
	if len(results) != 3 || results[0].Err != nil || !results[0].Done || results[1].Err == nil {
		t.Errorf("results: %+v", results)
	}
	if got := w.visible(); len(got) != 1 || got[0] != "gateway-stubborn" {
		t.Errorf("visible: %v", got)
	}
	s6test.Signal(t, pid, unix.SIGKILL)
	w.waiting.Wait = 20 * time.Second
	w.apply(decide("stubborn=skip"))
	if got := w.visible(); len(got) != 0 {
		t.Errorf("visible: %v", got)
	}
}

func TestBringDownAndUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startSvscan()
	w.apply(decide("coder=start"))
	first := w.untilUp("coder").PID
	do := func(op policy.Op) policy.Result {
		return w.execute([]policy.Operation{{Op: op, Profile: "coder", Slot: "gateway-coder"}})[0]
	}
	if r := do(policy.OpBringDown); r.Err != nil || !r.Done || w.facts().Slots["gateway-coder"].Up {
		t.Errorf("bring-down: %+v, %s", r, asJSON(w.facts()))
	}
	if r := do(policy.OpBringDown); r.Err != nil || r.Done {
		t.Errorf("second bring-down: %+v", r)
	}
	if r := do(policy.OpBringUp); r.Err != nil || !r.Done {
		t.Errorf("bring-up: %+v", r)
	}
	if second := w.untilUp("coder").PID; second == first {
		t.Errorf("the gateway was not restarted")
	}
	if r := do(policy.OpBringUp); r.Err != nil || r.Done {
		t.Errorf("second bring-up: %+v", r)
	}
	w.options.Live = true
	w.carryOut(w.wantPlan(decide("coder=down"), "bring-down coder"))
	w.carryOut(w.wantPlan(decide("coder=start"), "bring-up coder"))
	w.wantPlan(decide("coder=start"), "")
}

// bring-up reports at once that a gateway has ended and stays down.
func TestBringUpOfAGatewayThatEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec.Command = []string{w.script("short", "exit 78\n")}
	w.waiting.UpFor = 5 * time.Second // on a busy machine it takes a while to end
	w.startSvscan()
	w.apply(decide("coder=down"))
	r := w.execute([]policy.Operation{{Op: policy.OpBringUp, Slot: "gateway-coder"}})[0]
	if r.Err == nil || !strings.Contains(r.Err.Error(), "exit code 78") {
		t.Errorf("bring-up: %v", r.Err)
	}
	f := w.facts().Slots["gateway-coder"]
	if f.Deaths != 1 || f.ExitCode == nil || *f.ExitCode != 78 || f.WantedUp {
		t.Errorf("facts: %s", asJSON(f))
	}
}

// Only the first start waits for the delay, and a stop during the delay leaves nothing
// behind.
func TestDelayBeforeTheFirstStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startSvscan()
	d := decide("coder=start")
	one := d.Profiles["coder"]
	one.DelaySeconds = 3600
	d.Profiles["coder"] = one
	w.apply(d)
	current := filepath.Join(w.home, "logs/gateways/coder/current")
	w.until("the script waits", func() bool {
		f := w.facts().Slots["gateway-coder"]
		return f.Up && f.WaitingUntilUnix > time.Now().Unix()+3000
	})
	if text, _ := os.ReadFile(current); strings.Contains(string(text), "args") {
		t.Errorf("the gateway did not wait: %s", text)
	}
	for _, op := range []policy.Op{policy.OpBringDown, policy.OpBringUp} {
		w.carryOut([]policy.Operation{{Op: op, Slot: "gateway-coder"}})
	}
	w.until("the second start does not wait", func() bool {
		text, _ := os.ReadFile(current)
		return strings.Contains(string(text), "args")
	})
	w.wantPlan(d, "")
}

// A rescan returns only once every slot has its supervisors.
func TestRescanWaitsForSupervisors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startSvscan()
	var words []string
	for i := range 60 {
		words = append(words, "p"+strconv.Itoa(i)+"=down")
	}
	w.apply(decide(words...))
	for name, slot := range w.facts().Slots {
		if slot.Supervised == nil || !*slot.Supervised || !*slot.LoggerSupervised {
			t.Errorf("%s: %s", name, asJSON(slot))
		}
	}
}

// A rescan takes a slot that s6-svscan never starts away, brings it back, and names it
// in the error.
func TestRescanNamesWhatStaysUnsupervised(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startSvscan(holding(2)...)
	w.exec.Capacity = new(0)
	w.waiting.Wait = 2 * time.Second
	results := w.execute(w.plan(decide("a=down", "b=down", "c=down")))
	last := results[len(results)-1]
	if last.Operation.Op != policy.OpRescan || last.Err == nil || !strings.Contains(last.Err.Error(), "not supervised after 2s: gateway-") {
		t.Errorf("rescan: %+v", last)
	}
	if got := w.visible(); len(got) != 3 {
		t.Errorf("visible: %v", got)
	}
}

// From s6 2.12 on, s6-svscan aborts a scan at a dangling link and forgets slots. Once the
// link is gone, a rescan takes these slots away and brings them back.
func TestForgottenSlotsAreCured(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startSvscan()
	link := filepath.Join(w.scan, "dangling")
	must(t, os.Symlink("/nonexistent", link))
	w.waiting.Wait = 6 * time.Second
	w.exec.Log = slog.New(onRecord(func() { _ = os.Remove(link) }))
	var words []string
	for i := range 20 {
		words = append(words, "p"+strconv.Itoa(i)+"=down")
	}
	w.apply(decide(words...))
	for name, slot := range w.facts().Slots {
		if !*slot.Supervised || !*slot.LoggerSupervised {
			t.Errorf("%s: %s", name, asJSON(slot))
		}
	}
	if got := w.staged(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// onRecord is a log handler that acts on every record.
type onRecord func()

func (f onRecord) Enabled(context.Context, slog.Level) bool  { return true }
func (f onRecord) Handle(context.Context, slog.Record) error { f(); return nil }
func (f onRecord) WithAttrs([]slog.Attr) slog.Handler        { return f }
func (f onRecord) WithGroup(string) slog.Handler             { return f }

// A slot that was made without a scan gets its supervisor in the next run that may scan.
func TestUnsupervisedSlotsAreScanned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startSvscan()
	w.options.Rescan = false
	w.carryOut(w.wantPlan(decide("coder=start"), "publish coder"))
	w.wantPlan(decide("coder=start"), "")
	w.options.Rescan = true
	w.carryOut(w.wantPlan(decide("coder=start"), "rescan"))
	w.untilUp("coder")
	w.wantPlan(decide("coder=start"), "")
}
