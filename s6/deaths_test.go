package s6

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/deaths"
	"hermes-reconcile/s6/scripts"
)

// TestMain is also the helper of finish scripts, which answers a death as the program
// does and keeps the hold beside the slots, and it is the program that runAs runs.
func TestMain(m *testing.M) {
	if scan := os.Getenv("HERMES_TEST_APPLY"); scan != "" {
		applyAndPrint(scan, os.Args[1:])
		os.Exit(0)
	}
	if scan := os.Getenv("HERMES_TEST_LOCKS"); scan != "" {
		waitForLocks(scan, os.Getenv("HERMES_TEST_LOCK_KIND"))
	}
	if lock := os.Getenv("HERMES_TEST_LOCK"); lock != "" {
		holdLock(lock)
	}
	kept := os.Getenv("HERMES_TEST_DIED")
	if kept == "" {
		// The tests wait more than they compute. The flag on the command line wins.
		_ = flag.Set("test.parallel", "8")
		os.Exit(m.Run())
	}
	code, _ := strconv.Atoi(os.Args[1])
	signal, _ := strconv.Atoi(os.Args[2])
	answer, err := deaths.Death{Dir: ".", ExitCode: code, Signal: signal, Now: time.Now()}.Answer()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if answer.Hold != nil {
		_ = os.WriteFile(filepath.Join(kept, answer.Profile+".hold"), []byte(asJSON(answer.Hold)), 0o644)
	}
	if answer.Down {
		os.Exit(125)
	}
	os.Exit(0)
}

// withHelper makes finish scripts call this test.
func (w *world) withHelper() {
	w.t.Helper()
	helper := w.script("died", "HERMES_TEST_DIED="+w.base+" exec "+os.Args[0]+" \"$@\"\n")
	w.exec.Died = []string{helper}
}

func withRestart(d policy.Decisions, profile string, r policy.Restart) policy.Decisions {
	one := d.Profiles[profile]
	one.Restart = &r
	d.Profiles[profile] = one
	return d
}

// s6 starts a crashing gateway as often as its budget says. The other gateways go on.
func TestCrashLoopEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withHelper()
	starts := filepath.Join(w.base, "starts")
	w.exec.Command = []string{w.script("crashing", "case \"$2\" in coder) echo start >>"+starts+"; exit 3 ;; esac\nexec sleep 10000\n")}
	must(t, os.WriteFile(starts, nil, 0o666))
	must(t, os.Chmod(starts, 0o666))
	w.startSvscan()
	w.options.Live = true
	d := withRestart(decide("coder=start", "writer=start"), "coder", policy.Restart{Budget: &policy.Budget{Deaths: 3, WindowSeconds: 600}, OnExhaustion: "hold"})
	for _, r := range w.execute(w.plan(d)) {
		if r.Err != nil && r.Operation.Profile != "coder" {
			t.Error(r.Err)
		}
	}
	writer := w.untilUp("writer").PID
	w.until("it is held", func() bool {
		_, err := os.Stat(filepath.Join(w.base, "coder.hold"))
		f := w.facts().Slots["gateway-coder"]
		return err == nil && f.DownFile && !f.WantedUp && !f.Up
	})
	text, err := os.ReadFile(starts)
	must(t, err)
	if got := strings.Count(string(text), "start"); got != 3 {
		t.Errorf("started %d times, want 3", got)
	}
	if now := w.untilUp("writer").PID; now != writer {
		t.Errorf("writer was restarted: %d, was %d", now, writer)
	}
}

// A gateway of a new slot that crashes before the pass looks for it keeps its counted death.
func TestStartOfANewSlotKeepsItsDeaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withHelper()
	w.exec.Died = []string{w.script("slow", w.exec.Died[0]+" \"$@\"\ncode=$?\nsleep 3\nexit $code\n")}
	w.exec.Command = []string{w.script("crashing", "exit 3\n")}
	w.startSvscan()
	w.options.Live = true
	d := withRestart(decide("coder=start"), "coder", policy.Restart{Budget: &policy.Budget{Deaths: 3, WindowSeconds: 600}})
	plan := w.plan(d)
	start := plan[len(plan)-1]
	w.carryOut(plan[:len(plan)-1])
	counted := func() bool { _, err := os.Stat(w.slot("coder", deaths.TallyName)); return err == nil }
	w.until("a death is counted", counted)
	w.execute([]policy.Operation{start})
	if start.Op != policy.OpBringUp || !counted() {
		t.Errorf("%s forgot the death", start.Op)
	}
}

// A start or restart on request ends a pause and clears the counted deaths. A plan
// without a request does neither.
func TestStartEndsAPause(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(*policy.PlanOptions){
		"start":   func(o *policy.PlanOptions) { o.Start = []string{"coder"} },
		"restart": func(o *policy.PlanOptions) { o.Restart = []string{"coder"} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.withHelper()
			crash := filepath.Join(w.base, "crash")
			must(t, os.WriteFile(crash, nil, 0o644))
			w.exec.Command = []string{w.script("crashing", "! test -e "+crash+" || exit 3\nexec sleep 10000\n")}
			w.startSvscan()
			w.options.Live = true
			d := withRestart(decide("coder=start"), "coder", policy.Restart{Budget: &policy.Budget{Deaths: 2, WindowSeconds: 600}, OnExhaustion: "slow"})
			w.execute(w.plan(d))
			w.until("it pauses for 300 s", func() bool {
				return w.facts().Slots["gateway-coder"].WaitingUntilUnix > time.Now().Unix()+200
			})
			must(t, os.Remove(crash))
			w.wantPlan(d, "")
			ask(&w.options)
			w.carryOut(w.wantPlan(d, "bring-down coder; bring-up coder"))
			if f := w.facts().Slots["gateway-coder"]; !f.Up || f.DownFile || f.WaitingUntilUnix != 0 {
				t.Errorf("coder: %s", asJSON(f))
			}
			if _, err := os.Stat(w.slot("coder", deaths.TallyName)); !os.IsNotExist(err) {
				t.Errorf("the deaths are still counted: %v", err)
			}
		})
	}
}

// A restart is not counted: an intended stop is not a death.
func TestRestartsDoNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withHelper()
	w.exec.Command = []string{w.script("odd", "trap 'exit 5' TERM\nwhile :; do sleep 0.05; done\n")}
	w.startSvscan()
	w.options.Live = true
	w.options.Restart = []string{"coder"}
	d := withRestart(decide("coder=start"), "coder", policy.Restart{Budget: &policy.Budget{Deaths: 2, WindowSeconds: 600}})
	w.apply(d)
	for range 4 {
		before := w.untilUp("coder")
		w.carryOut(w.wantPlan(d, "bring-down coder; bring-up coder"))
		if now := w.untilUp("coder"); now.PID == before.PID {
			t.Error("it was not restarted")
		}
	}
	if _, err := os.Stat(w.slot("coder", deaths.TallyName)); err == nil {
		t.Error("an intended stop was counted")
	}
}

// Rules answer to signals: a kill leaves the gateway down, and a TERM, which an operator
// sends, counts by choice only.
func TestAnswersToSignals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withHelper()
	w.startSvscan()
	w.options.Live = true
	budget := &policy.Budget{Deaths: 1, WindowSeconds: 600}
	d := withRestart(decide("coder=start", "writer=start", "kids=start"), "coder", policy.Restart{ExitCodes: map[string]string{"SIGKILL": "never", "oom": "now"}})
	d = withRestart(d, "writer", policy.Restart{Budget: budget})
	w.apply(withRestart(d, "kids", policy.Restart{Budget: budget, CountTerm: true}))
	before := w.untilUp("writer")
	w.untilUp("coder")
	w.untilUp("kids")
	for profile, letter := range map[string]string{"coder": "-k", "writer": "-t", "kids": "-t"} {
		if out, err := exec.Command("s6-svc", letter, w.slot(profile)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	w.until("coder stays down, kids is held, writer runs again", func() bool {
		slots := w.facts().Slots
		coder, kids, writer := slots["gateway-coder"], slots["gateway-kids"], slots["gateway-writer"]
		return !coder.Up && !coder.WantedUp && !coder.DownFile && !kids.Up && kids.DownFile && writer.Up && writer.PID != before.PID
	})
	noted, err := os.ReadFile(w.slot("coder", scripts.OOMName))
	if _, countErr := strconv.Atoi(strings.TrimSpace(string(noted))); countErr != nil && slices.ContainsFunc(scripts.OOMFiles, countsOOM) {
		t.Errorf("the processes lost for want of memory before the start: %q, %v", noted, err)
	}
	if _, err := os.Stat(w.slot("writer", scripts.OOMName)); err == nil {
		t.Error("a slot whose rule does not ask notes the memory")
	}
}

func countsOOM(file string) bool {
	text, _ := os.ReadFile(file)
	return strings.Contains("\n"+string(text), "\noom_kill ")
}

// A missing helper never keeps a gateway down.
func TestMissingHelper(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec.Died = []string{filepath.Join(w.base, "nothing there")}
	counter := filepath.Join(w.base, "starts")
	must(t, os.WriteFile(counter, nil, 0o666))
	must(t, os.Chmod(counter, 0o666))
	w.exec.Command = []string{w.script("crashing", "echo start >>"+counter+"; exit 3\n")}
	w.startSvscan()
	w.apply(withRestart(decide("coder=start"), "coder", policy.Restart{Budget: &policy.Budget{Deaths: 1, WindowSeconds: 600}}))
	w.until("it was started again", func() bool {
		text, _ := os.ReadFile(counter)
		return strings.Count(string(text), "start") > 1
	})
}
