package s6

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
	"hermes-reconcile/s6/supervise"
)

// familyScript is a gateway whose processes leave its session, its parents and its
// environment. Each writes its pid to a file.
const familyScript = `dir=$(dirname "$0")/pids/$2
mkdir -p "$dir"
sh -c 'echo $$ >'"$dir"'/child; exec sleep 20001' &
setsid sh -c 'echo $$ >'"$dir"'/session; exec sleep 20002' &
(setsid sh -c 'echo $$ >'"$dir"'/orphan; exec sleep 20003' &) &
env -i /bin/sh -c 'echo $$ >'"$dir"'/bare; exec /bin/sleep 20004' &
setsid env -i /bin/sh -c 'echo $$ >'"$dir"'/both; exec /bin/sleep 20005' &
exec sleep 10000
`

// startFamilies starts gateways with such processes, and returns the pids by name.
func (w *world) startFamilies(profiles ...string) map[string]map[string]int {
	w.t.Helper()
	w.exec.Command = []string{w.script("family", familyScript)}
	must(w.t, os.Mkdir(filepath.Join(w.base, "pids"), 0o777))
	must(w.t, os.Chmod(filepath.Join(w.base, "pids"), 0o777))
	w.startSvscan()
	pids := map[string]map[string]int{}
	var words []string
	for _, p := range profiles {
		words, pids[p] = append(words, p+"=start"), map[string]int{}
	}
	w.apply(decide(words...))
	for _, p := range profiles {
		for _, name := range []string{"child", "session", "orphan", "bare", "both"} {
			w.until(p+" has its "+name, func() bool {
				text, _ := os.ReadFile(filepath.Join(w.base, "pids", p, name))
				pids[p][name], _ = strconv.Atoi(strings.TrimSpace(string(text)))
				return pids[p][name] > 1
			})
		}
	}
	// The script that starts the orphan is gone.
	w.until("all run what they are to run", func() bool { return len(w.living(pids)) == 5*len(profiles) })
	return pids
}

// living returns those of the processes that run, by profile and name.
func (w *world) living(pids map[string]map[string]int) map[string]int {
	living := map[string]int{}
	for profile, all := range pids {
		for name, pid := range all {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if strings.Contains(string(text), "sleep\x002000") {
				living[profile+" "+name] = pid
			}
		}
	}
	return living
}

// A stop and a removal with Kill end whatever a gateway has started, and nothing of another
// gateway, also when that names another slot.
func TestKillEndsWhatAGatewayStarted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pids := w.startFamilies("coder", "writer", "kids")
	t.Cleanup(func() { endAll(pids) })
	stranger := exec.CommandContext(t.Context(), "sleep", "20006")
	if os.Geteuid() == 0 {
		s6test.As(hermesID, stranger)
	}
	must(t, stranger.Start())
	w.options.Live, w.waiting.Kill = true, true
	w.carryOut(w.wantPlan(decide("coder=down", "writer=start", "kids=skip"), "remove kids; bring-down coder; rescan"))
	living := w.living(pids)
	if len(living) != 5 {
		t.Errorf("left: %v", living)
	}
	for name := range living {
		if !strings.HasPrefix(name, "writer ") {
			t.Errorf("%s lives", name)
		}
	}
	if err := stranger.Process.Kill(); err != nil {
		t.Errorf("a process that no gateway started: %v", err)
	}
	_ = stranger.Wait()
}

// endAll ends the processes that a failed test leaves.
func endAll(pids map[string]map[string]int) {
	for _, all := range pids {
		for _, pid := range all {
			if p, err := os.FindProcess(pid); err == nil && pid > 1 {
				_ = p.Kill()
			}
		}
	}
}

// Without Kill, a stop and a removal report what is left of a gateway.
func TestStopReportsWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pids := w.startFamilies("coder", "kids")
	t.Cleanup(func() { endAll(pids) })
	w.options.Live, w.waiting.Wait = true, 4*time.Second
	results := w.execute(w.plan(decide("coder=down", "kids=skip")))
	for _, r := range results[:2] {
		if r.Err == nil || !strings.Contains(r.Err.Error(), "5 processes of it still run (pid ") {
			t.Errorf("%s %s: %v", r.Operation.Op, r.Operation.Slot, r.Err)
		}
	}
	if got := w.visible(); len(got) != 1 || len(w.living(pids)) != 10 {
		t.Errorf("slots %v, processes %v", got, w.living(pids))
	}
	w.waiting.Kill = true
	for _, r := range w.execute([]policy.Operation{results[1].Operation}) {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	// What gave up its session and its environment is not found any more.
	if living := w.living(pids); len(living) != 5+2 {
		t.Errorf("a second stop with Kill leaves %v", living)
	}
}

// A process that forges the name of another slot is ended with that slot, and ends nobody
// else. A process of another user never is.
func TestForgedNameOfASlot(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	pids := w.startFamilies("coder")
	t.Cleanup(func() { endAll(pids) })
	// Not children of this process, which ends none of its own.
	start := func(uid int) int {
		script := supervise.SlotVariable + "=" + w.slot("coder") + " sleep 20007 >/dev/null 2>&1 & echo $!"
		out, err := s6test.Shell(t, uid, script).Output()
		must(t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
		must(t, err)
		w.until("it sleeps", func() bool { return len(w.living(map[string]map[string]int{"": {"": pid}})) == 1 })
		return pid
	}
	others := map[string]map[string]int{"process of": {"root": start(0), "the agent": start(hermesID)}}
	t.Cleanup(func() { endAll(others) })
	w.options.Live, w.waiting.Kill = true, true
	w.carryOut(w.plan(decide("coder=down")))
	if living := w.living(others); len(living) != 1 || living["process of root"] == 0 {
		t.Errorf("left: %v", living)
	}
}
