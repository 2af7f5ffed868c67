package s6

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/scripts"
)

// The modes are those of a process with the umask 022, which main sets.
func TestPublishedModes(t *testing.T) {
	for _, mask := range []int{0o022, 0} {
		t.Run(strconv.FormatInt(int64(mask), 8), func(t *testing.T) {
			w := newWorld(t)
			old := syscall.Umask(mask)
			defer syscall.Umask(old)
			w.apply(decide("coder=down"))
			uid, gid, group := os.Geteuid(), os.Getegid(), os.Getegid()
			if w.exec.Root {
				group = hermesID
			}
			for _, prefix := range []string{"", "log/"} {
				wantMode(t, w.slot("coder", prefix+"supervise"), 0o711, uid, gid)
				wantMode(t, w.slot("coder", prefix+"supervise/control"), 0o620, uid, group)
				wantMode(t, w.slot("coder", prefix+"supervise/lock"), 0o600, uid, gid)
				wantMode(t, w.slot("coder", prefix+"event"), 0o700, uid, gid)
				wantMode(t, w.slot("coder", prefix+"run"), 0o755, uid, gid)
			}
			for _, name := range []string{"", "log", "data", "finish"} {
				wantMode(t, w.slot("coder", name), 0o755, uid, gid)
			}
			for _, name := range []string{"type", "down", scripts.MarkerName} {
				wantMode(t, w.slot("coder", name), 0o644, uid, gid)
			}
			w.wantPlan(decide("coder=down"), "")
		})
	}
}

// A wrong slot that nothing supervises is exchanged for a complete new one.
func TestUnsupervisedSlotIsExchanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(decide("coder=down"))
	before := inodeOf(t, w.slot("coder"))
	must(t, os.WriteFile(w.slot("coder", "run"), nil, 0o755)) // as a full file system leaves it
	must(t, os.WriteFile(w.slot("coder", "nohup.out"), nil, 0o644))
	w.carryOut(w.wantPlan(decide("coder=start"), "publish coder"))
	if inodeOf(t, w.slot("coder")) == before {
		t.Error("the slot is still the old directory")
	}
	if _, err := os.Stat(w.slot("coder", "nohup.out")); err == nil {
		t.Error("the new slot has a file of the old one")
	}
	if got := w.staged(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	w.wantPlan(decide("coder=start"), "")
	must(t, os.Chmod(w.slot("coder", "finish"), 0o644))
	w.wantPlan(decide("coder=start"), "publish coder")
}

// A publish replaces slots of upstream's, and leaves everything else alone that has the
// name of a slot.
func TestForeignThingsAreLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := decide("dir=start", "file=start", "fifo=start", "link=start", "linked-marker=start", "upstream=start", "well=start")
	must(t, os.Mkdir(w.slot("dir"), 0o755))
	must(t, os.WriteFile(w.slot("dir", "run"), []byte("#!/bin/sh\nexec other\n"), 0o755))
	must(t, os.WriteFile(w.slot("file"), []byte("mine"), 0o644))
	must(t, unix.Mkfifo(w.slot("fifo"), 0o644))
	target := filepath.Join(w.base, "elsewhere")
	must(t, os.Mkdir(target, 0o755))
	must(t, os.Symlink(target, w.slot("link")))
	must(t, os.MkdirAll(w.slot("linked-marker", "data"), 0o755))
	must(t, os.Symlink("/etc/passwd", w.slot("linked-marker", scripts.MarkerName)))
	must(t, os.Mkdir(w.slot("upstream"), 0o755))
	must(t, os.WriteFile(w.slot("upstream", "type"), []byte("longrun\n"), 0o644))
	must(t, os.WriteFile(w.slot("upstream", "run"), []byte("#!/bin/sh\nexec hermes -p upstream gateway run --replace\n"), 0o755))

	w.carryOut(w.wantPlan(d, "publish upstream; publish well"))
	want := "slot_foreign dir; slot_foreign fifo; slot_foreign file; slot_foreign link; slot_foreign linked-marker"
	if got := w.alarmCodes(); got != want {
		t.Errorf("alarms: got %q, want %q", got, want)
	}
	wantFile(t, w.slot("dir", "run"), "#!/bin/sh\nexec other\n")
	wantFile(t, w.slot("file"), "mine")
	if entries, err := os.ReadDir(target); err != nil || len(entries) != 0 {
		t.Errorf("the target of the link: %v, %v", entries, err)
	}
	// An operation that was planned before leaves them alone too.
	var plan []policy.Operation
	for _, p := range []string{"dir", "fifo", "file", "link", "linked-marker"} {
		for _, op := range []policy.Op{policy.OpPublish, policy.OpUpdate, policy.OpMarkDown, policy.OpClearDown, policy.OpRemove, policy.OpBringDown} {
			plan = append(plan, policy.Operation{Op: op, Profile: p, Slot: policy.SlotName(p), Files: []string{"run"}})
		}
	}
	for _, r := range w.execute(plan) {
		if r.Err == nil || r.Done {
			t.Errorf("%s %s: no error", r.Operation.Op, r.Operation.Slot)
		}
	}
	wantFile(t, w.slot("dir", "run"), "#!/bin/sh\nexec other\n")
	wantFile(t, w.slot("file"), "mine")
	if got := w.staged(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	// A skipped or unknown profile loses only a slot of ours.
	w.wantPlan(decide("dir=skip", "file=skip"), "remove upstream; remove well")
}

// The leftovers of an interrupted run are invisible to s6-svscan, and the next run
// removes them.
func TestLeftoversAreSwept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(decide("coder=down"))
	half := filepath.Join(w.scan, scandir.StagingPrefix+"dead-1")
	must(t, os.MkdirAll(filepath.Join(half, "log/supervise"), 0o755))
	must(t, os.WriteFile(filepath.Join(half, "run"), nil, 0o755))
	must(t, os.WriteFile(filepath.Join(w.scan, scandir.StagingPrefix+"dead-2"), nil, 0o644))
	must(t, os.Symlink("/etc", filepath.Join(w.scan, scandir.StagingPrefix+"dead-3")))
	must(t, os.Mkdir(filepath.Join(w.scan, ".gateway-coder.tmp"), 0o700))
	if f := w.facts(); len(f.Leftovers) != 4 || len(f.Slots) != 1 {
		t.Errorf("facts: %s", asJSON(f))
	}
	d := decide("coder=down")
	w.carryOut(w.wantPlan(d, "remove "+scandir.StagingPrefix+"dead-1; remove "+scandir.StagingPrefix+"dead-2; remove "+scandir.StagingPrefix+"dead-3"))
	if got := w.staged(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	if _, err := os.Stat("/etc/passwd"); err != nil {
		t.Fatal(err)
	}
	w.wantPlan(d, "")
}

// A profile whose name cannot be that of a slot gets none; the others get theirs.
func TestNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	longest := strings.Repeat("x", 242)
	words := []string{"ok=start", "sp ace=start", "uml\u00e4ut=down", "it's=start", "$(reboot)=start", longest + "=down"}
	refused := []string{strings.Repeat("y", 243), "a/b", "profiles/default", "", "-p", `"a\nb"`, "a\nb", "nul\x00", "esc\x1b"}
	d := decide(words...)
	for _, name := range refused {
		d.Profiles[name] = policy.Decision{Action: policy.ActionStart}
	}
	w.apply(d)
	if got := w.visible(); len(got) != len(words) {
		t.Errorf("visible: %v", got)
	}
	if got := w.last.Alarms; len(got) != len(refused) {
		t.Errorf("alarms: %s", asJSON(got))
	}
	run, err := os.ReadFile(w.slot("$(reboot)", "run"))
	must(t, err)
	if !strings.Contains(string(run), " -p '$(reboot)' ") {
		t.Errorf("run script:\n%s", run)
	}
	w.wantPlan(d, "")
}

// A profile with an environment that no script can hold gets no slot.
func TestValuesThatAShellCannotHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, env := range map[string]map[string]string{
		"newline": {"A": "a\nb"}, "nul": {"A": "a\x00"}, "name": {"A B": "x"}, "command": {"A;reboot": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			d := decide("bad=start", "well=start")
			d.Profiles["bad"] = policy.Decision{Action: policy.ActionStart, Env: env}
			w.wantPlan(d, "publish well")
			if got := w.alarmCodes(); got != "slot_impossible bad" {
				t.Errorf("alarms: %s", got)
			}
		})
	}
}

func TestCapacity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec.Capacity = new(3)
	d := decide("a=down", "b=down", "c=start", "d=start")
	w.carryOut(w.wantPlan(d, "publish a down; publish c; publish d"))
	if got := asJSON(w.last.Alarms); !strings.Contains(got, "no slot for b: there is room for 3 (configured)") {
		t.Errorf("alarms: %s", got)
	}
	// Existing slots stay, and a removed slot makes room.
	w.wantPlan(decide("a=down", "b=start", "c=start", "d=start"), "")
	w.carryOut(w.wantPlan(decide("a=skip", "b=start", "c=start", "d=start"), "remove a; publish b"))
	w.exec.Capacity = new(0)
	w.wantPlan(decide("a=down", "b=start", "c=start", "d=start"), "publish a down")

	var many []string
	for i := range 600 {
		many = append(many, "p"+strconv.Itoa(1000+i)+"=start")
	}
	w = newWorld(t)
	w.exec.Capacity = nil
	if got := len(w.plan(decide(many...))); got != 498 {
		t.Errorf("%d slots fit by default, want 498", got)
	}
}

func TestSkippedContainerAndMissingScanDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	must(t, os.Remove(w.scan))
	d := decide("coder=start")
	d.Skip = []policy.Contribution{{Set: policy.SetSkip, Reason: "a dashboard"}}
	w.wantPlan(d, "")
	if got := w.exec.Execute(t.Context(), nil, w.waiting); got != nil {
		t.Errorf("results: %v", got)
	}
	if _, err := os.Stat(w.scan); err == nil {
		t.Error("the scan directory was made")
	}
	d.Skip = nil
	if _, err := w.exec.Plan(t.Context(), d, w.options); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nobody can scan a missing directory: %v", err)
	}
	w.options.Rescan = false
	w.carryOut(w.wantPlan(d, "publish coder"))
	w.wantPlan(d, "")
}

// With many reconcilers at once, each slot is complete at every look, and no run fails.
func TestReconcilersAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec.LockTimeout = 60 * time.Second
	var words []string
	for i := range 10 {
		words = append(words, "p"+strconv.Itoa(i)+"=down")
	}
	w.apply(decide(words...))
	ctx, cancel := context.WithCancel(t.Context())
	var looks, wrong int
	var watcher, runs sync.WaitGroup
	watcher.Go(func() {
		for ; ctx.Err() == nil; looks++ {
			for i := range 10 {
				if _, err := os.Stat(w.slot("p"+strconv.Itoa(i), "run")); err != nil {
					wrong++
				}
			}
			time.Sleep(100 * time.Microsecond)
		}
	})
	for r := range 4 {
		runs.Go(func() {
			for i := range 8 {
				d := decide(words...)
				for name, one := range d.Profiles {
					one.Env = map[string]string{"N": strconv.Itoa(r*1000 + i)}
					d.Profiles[name] = one
				}
				unlock, err := w.exec.Lock(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				plan, err := w.exec.Plan(t.Context(), d, w.options)
				if err != nil {
					t.Error(err)
				}
				for _, result := range w.exec.Execute(t.Context(), plan.Operations, w.waiting) {
					if result.Err != nil {
						t.Errorf("%s %s: %v", result.Operation.Op, result.Operation.Slot, result.Err)
					}
				}
				unlock()
			}
		})
	}
	runs.Wait()
	cancel()
	watcher.Wait()
	if wrong > 0 {
		t.Errorf("%d of %d looks found no run script", wrong, looks)
	}
	if got := w.staged(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestLockKeepsOthersOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	unlock, err := w.exec.Lock(t.Context())
	must(t, err)
	defer unlock()
	e := *w.exec
	e.LockTimeout = 50 * time.Millisecond
	if _, err := e.Lock(t.Context()); err == nil || !strings.Contains(err.Error(), "another hermes-reconcile holds "+filepath.Join(w.scan, scandir.LockName)) {
		t.Errorf("second lock: %v", err)
	}
}

// Lock does not follow a planted link with the name of the lock.
func TestLockFollowsNoLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	victim := filepath.Join(w.base, "victim")
	must(t, os.Symlink(victim, filepath.Join(w.scan, scandir.LockName)))
	if _, err := w.exec.Lock(t.Context()); err == nil {
		t.Error("no error")
	}
	if _, err := os.Lstat(victim); err == nil {
		t.Error("the target of the link was made")
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan(decide("a=start", "b=start"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, r := range w.exec.Execute(ctx, plan, w.waiting) {
		if r.Err == nil || r.Done {
			t.Errorf("%+v", r)
		}
	}
	if got := w.visible(); len(got) != 0 {
		t.Errorf("visible: %v", got)
	}
	if _, err := w.exec.Plan(ctx, decide("a=start"), w.options); err == nil {
		t.Error("plan: no error")
	}
}

// On a file system without free bytes or inodes, no incomplete slot becomes visible, and
// the slots that fit are right.
func TestFullFileSystem(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	for _, options := range []string{"size=64k", "nr_inodes=40"} {
		t.Run(options, func(t *testing.T) {
			base := t.TempDir()
			if err := unix.Mount("tmpfs", base, "tmpfs", 0, options+",mode=755"); err != nil {
				t.Skipf("cannot mount a tmpfs: %v", err)
			}
			t.Cleanup(func() { must(t, unix.Unmount(base, unix.MNT_DETACH)) })
			w := newWorldIn(t, base)
			var words []string
			for i := range 20 {
				words = append(words, "p"+strconv.Itoa(i)+"=down")
			}
			var well []string
			failed := 0
			for _, r := range w.execute(w.plan(decide(words...))) {
				if r.Err != nil {
					failed++
				} else {
					well = append(well, r.Operation.Slot)
				}
			}
			if failed == 0 {
				t.Error("every slot fitted")
			}
			if got := w.visible(); !slices.Equal(sorted(got), sorted(well)) {
				t.Errorf("visible %v, published %v", got, well)
			}
			if got := w.staged(); len(got) != 0 {
				t.Errorf("left: %v", got)
			}
			for _, op := range w.plan(decide(words...)) {
				if slices.Contains(well, op.Slot) {
					t.Errorf("a published slot is not right: %s", asJSON(op))
				}
			}
		})
	}
}
