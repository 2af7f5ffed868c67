package s6

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
)

// hold makes decisions of which those that are down are held.
func hold(words ...string) policy.Decisions {
	d := decide(words...)
	for name, one := range d.Profiles {
		one.Held = one.Action == policy.ActionDown
		d.Profiles[name] = one
	}
	return d
}

// fight has the agent's user write to the control FIFO of a slot until the test ends, and
// waits until it does.
func (w *world) fight(how, profile string) {
	w.t.Helper()
	begun := filepath.Join(w.home, "fight-"+profile)
	script := "exec 3>" + w.slot(profile, controlName) + "; trap '' PIPE; touch " + begun + "; " + map[string]string{
		"with a flood":        "u=uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu; while :; do printf $u$u$u$u$u$u >&3; done 2>/dev/null",
		"with single letters": "while :; do printf U >&3; sleep 0.02; done 2>/dev/null",
		"with s6-svc":         "exec 3>&-; while :; do s6-svc -u " + w.slot(profile) + "; done 2>/dev/null",
	}[how]
	cmd := s6test.Shell(w.t, hermesID, script)
	must(w.t, cmd.Start())
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	w.until("the user fights", func() bool { return exec.Command("test", "-e", begun).Run() == nil })
	time.Sleep(200 * time.Millisecond)
}

// supervisors counts the supervisors of the service of a slot, and its gateways.
func (w *world) supervisors(profile string) (supervisors, gateways int) {
	for _, p := range w.processes() {
		switch {
		case strings.Contains(p.Command, ": s6-supervise gateway-"+profile+" "):
			supervisors++
		case strings.Contains(p.Command, "sleep 10000"):
			gateways++
		}
	}
	return supervisors, gateways
}

// The agent's user writes control commands as fast as it can, also by a FIFO that it has
// opened before. A held gateway goes down and stays down, and the slot can be removed.
func TestUserFightsAHold(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	for _, how := range []string{"with a flood", "with single letters", "with s6-svc"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newLive(t)
			w.waiting.Wait = 6 * time.Second
			w.apply(decide("coder=start"))
			w.fight(how, "coder")
			w.apply(hold("coder=down"))
			for range 15 {
				supervisors, gateways := w.supervisors("coder")
				if f := w.facts().Slots["gateway-coder"]; f.Up || !f.DownFile || supervisors != 1 || gateways != 0 {
					t.Fatalf("%d supervisors, %d gateways, %s", supervisors, gateways, asJSON(f))
				}
				time.Sleep(100 * time.Millisecond)
			}
			w.wantPlan(hold("coder=down"), "")
			if out, err := w.asHermes("s6-svc -u " + w.slot("coder")); err == nil {
				t.Errorf("the user writes to the FIFO of a held slot: %s", out)
			}
			w.apply(decide("coder=skip"))
			if supervisors, gateways := w.supervisors("coder"); supervisors+gateways+len(w.visible())+len(w.staged()) != 0 {
				t.Errorf("after the removal: %d supervisors, %d gateways, %v %v", supervisors, gateways, w.visible(), w.staged())
			}
		})
	}
}

// A stop and a removal win too. After a stop, the user may start the gateway again.
func TestUserFightsAStopAndARemoval(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	for _, how := range []string{"with a flood", "with single letters", "with s6-svc"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newLive(t)
			w.waiting.Wait = 6 * time.Second
			w.apply(decide("coder=start", "gone=start"))
			w.fight(how, "coder")
			w.fight(how, "gone")
			w.carryOut([]policy.Operation{{Op: policy.OpBringDown, Profile: "coder", Slot: "gateway-coder"}, {Op: policy.OpRemove, Profile: "gone", Slot: "gateway-gone"}})
			if supervisors, _ := w.supervisors("gone"); supervisors != 0 || len(w.visible()) != 1 || len(w.staged()) != 0 {
				t.Errorf("after the removal: %d supervisors, %v %v", supervisors, w.visible(), w.staged())
			}
			wantMode(t, w.slot("coder", controlName), controlMode, 0, hermesID)
			if how != "with a flood" { // the user starts it again, as it may
				return
			}
			if f := w.facts().Slots["gateway-coder"]; f.Up {
				t.Errorf("after the stop: %s", asJSON(f))
			}
			if out, err := w.asHermes("s6-svc -u " + w.slot("coder")); err != nil {
				t.Errorf("the user cannot start it: %v: %s", err, out)
			}
			w.untilUp("coder")
		})
	}
}

// A held slot is sealed, also against a user who opened its FIFO before, and opened again by
// an operation of its own. A second plan has nothing to do.
func TestHeldSlotIsSealed(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newLive(t)
	w.carryOut(w.wantPlan(hold("coder=down", "writer=start"), "publish coder down; publish writer; rescan; bring-up writer"))
	wantMode(t, w.slot("coder", controlName), sealedMode, 0, 0)
	wantMode(t, w.slot("writer", controlName), controlMode, 0, hermesID)
	wantMode(t, w.slot("coder", superviseLock), 0o600, 0, 0)
	wantMode(t, w.slot("writer", superviseLock), 0o644, 0, 0)
	w.wantPlan(hold("coder=down", "writer=start"), "")

	w.carryOut(w.wantPlan(decide("coder=down", "writer=start"), "update coder supervise/control,supervise/lock"))
	wantMode(t, w.slot("coder", controlName), controlMode, 0, hermesID)
	w.wantPlan(decide("coder=down", "writer=start"), "")
	late := s6test.Shell(t, hermesID, "exec 3>"+w.slot("coder", controlName)+"; touch "+w.home+"/opened; while [ ! -e "+w.home+"/go ]; do sleep 0.05; done; trap '' PIPE; printf u >&3")
	must(t, late.Start())
	w.until("the user has the FIFO open", func() bool { return exec.Command("test", "-e", w.home+"/opened").Run() == nil })
	open := inodeOf(t, w.slot("coder", superviseLock))
	w.carryOut(w.wantPlan(hold("coder=down", "writer=start"), "bring-down coder"))
	wantMode(t, w.slot("coder", superviseLock), 0o600, 0, 0)
	if inodeOf(t, w.slot("coder", superviseLock)) == open {
		t.Error("the user may have the lock of the sealed slot open")
	}
	w.wantPlan(hold("coder=down", "writer=start"), "")
	must(t, exec.Command("touch", w.home+"/go").Run())
	_ = late.Wait()
	time.Sleep(300 * time.Millisecond)
	if f := w.facts().Slots["gateway-coder"]; f.Up {
		t.Errorf("a user who had the FIFO open started it: %s", asJSON(f))
	}
	w.carryOut(w.wantPlan(decide("coder=start", "writer=start"), "update coder supervise/control,supervise/lock; bring-up coder"))
	w.untilUp("coder")
	wantMode(t, w.slot("coder", controlName), controlMode, 0, hermesID)
}
