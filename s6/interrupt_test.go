package s6

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/s6/scandir"
)

// An interruption between two steps of a publish leaves no slot or a complete one. The
// next run repairs the rest.
func TestInterruptedPublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	x, err := w.exec.begin(w.waiting)
	must(t, err)
	files, err := x.render.Files("coder", nil, nil)
	must(t, err)
	files = append([]beneath.File{scandir.DownFile}, files...)
	for n := range len(files) + 1 {
		must(t, x.build(scandir.StagingName(), files[:n], policy.Operation{}))
	}
	x.scan.Close()
	if got := w.visible(); len(got) != 0 {
		t.Errorf("visible: %v", got)
	}
	w.apply(decide("coder=down"))
	if got, staged := w.visible(), w.staged(); len(got) != 1 || len(staged) != 0 {
		t.Errorf("visible: %v, left: %v", got, staged)
	}
	w.wantPlan(decide("coder=down"), "")
}

// A killed run leaves only complete slots. The next run makes the missing ones.
func TestKilledRun(t *testing.T) {
	t.Parallel()
	for _, visible := range []int{1, 60, 150, 290} {
		t.Run(strconv.Itoa(visible), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec = benchExecutor(w.scan)
			cmd := exec.CommandContext(t.Context(), w.testBinary(), "-test.run=^TestPublishMany$")
			cmd.Env = append(os.Environ(), "S6_TEST_SCANDIR="+w.scan, "S6_TEST_HOME="+w.home)
			must(t, cmd.Start())
			for len(w.visible()) < visible {
				if unix.Kill(cmd.Process.Pid, 0) != nil {
					t.Fatal("it ended before it was killed")
				}
				time.Sleep(100 * time.Microsecond) // leave it a processor
			}
			must(t, cmd.Process.Kill())
			_ = cmd.Wait()
			visible := w.visible()
			d := manyProfiles(300)
			for _, op := range w.plan(d) {
				if op.Op == policy.OpPublish && slices.Contains(visible, op.Slot) {
					t.Errorf("a visible slot is not complete: %s", op.Slot)
				}
			}
			w.apply(d)
			w.wantPlan(d, "")
			if got := w.staged(); len(got) != 0 || len(w.visible()) != 300 {
				t.Errorf("left: %v; %d slots", got, len(w.visible()))
			}
		})
	}
}

// TestPublishMany is the process that TestKilledRun starts and kills.
func TestPublishMany(t *testing.T) {
	dir := os.Getenv("S6_TEST_SCANDIR")
	if dir == "" || os.Getenv("S6_TEST_HOME") == "" {
		return // not started by TestKilledRun
	}
	w := &world{t: t, scan: dir, exec: benchExecutor(dir)}
	w.apply(manyProfiles(300))
}
