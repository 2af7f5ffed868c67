package s6

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/s6/s6test"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/scripts"
)

// hermesID is the unprivileged user of the tests.
const hermesID = s6test.UserID

// The files of a supervisor and of s6-svscan that tests touch.
const (
	superviseLock    = "supervise/lock"
	superviseStatus  = "supervise/status"
	superviseControl = "supervise/control"
	svscanLock       = ".s6-svscan/lock"
)

// A world is a scan directory, a home and a stub gateway in one temporary
// directory that the unprivileged user can reach.
type world struct {
	t    *testing.T
	base string
	scan string
	home string

	exec    *Executor
	options policy.PlanOptions
	waiting policy.ExecuteOptions
	last    policy.Plan // the newest
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldIn(t, t.TempDir())
}

func newWorldIn(t *testing.T, base string) *world {
	t.Helper()
	s6test.OpenToOthers(t, base)
	w := &world{t: t, base: base, scan: filepath.Join(base, "scan"), home: filepath.Join(base, "home")}
	must(t, os.Mkdir(w.scan, 0o755))
	must(t, os.Mkdir(w.home, 0o755))
	root := os.Geteuid() == 0
	if root {
		must(t, os.Chown(w.home, hermesID, hermesID))
	}
	gateway := w.script("gateway", "echo \"args $* home $HOME child $HERMES_S6_SUPERVISED_CHILD uid $(id -u)\"\nexec sleep 10000\n")
	w.exec = &Executor{
		ScanDir: w.scan, Root: root,
		User:     trust.User{UID: hermesID, GID: hermesID},
		Settings: scripts.Settings{Home: w.home, Command: []string{gateway}, Args: []string{"gateway", "run", "--replace"}},
	}
	w.options = policy.PlanOptions{Rescan: true, Prune: true}
	w.waiting = policy.ExecuteOptions{Wait: 20 * time.Second}
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	s6test.Must(t, err)
}

func (w *world) script(name, text string) string {
	path := filepath.Join(w.base, name)
	script(w.t, path, text)
	return path
}

func (w *world) slot(profile string, more ...string) string {
	return filepath.Join(append([]string{w.scan, policy.SlotName(profile)}, more...)...)
}

// decide makes decisions from words such as "coder=start".
func decide(words ...string) policy.Decisions {
	d := policy.Decisions{SchemaVersion: policy.SchemaVersion, Profiles: map[string]policy.Decision{}}
	for _, word := range words {
		name, action, _ := strings.Cut(word, "=")
		d.Profiles[name] = policy.Decision{Action: policy.Action(action), Code: "test", Reason: "the test says " + action}
	}
	return d
}

func (w *world) plan(d policy.Decisions) []policy.Operation {
	w.t.Helper()
	var err error
	w.last, err = w.exec.Plan(w.t.Context(), d, w.options)
	must(w.t, err)
	return w.last.Operations
}

// brief formats operations as "op slot" lines without the prefix of the slot.
func brief(plan []policy.Operation) string {
	var lines []string
	for _, op := range plan {
		line := strings.TrimSpace(string(op.Op) + " " + strings.TrimPrefix(op.Slot, policy.SlotPrefix))
		if op.Down != nil && *op.Down {
			line += " down"
		}
		if len(op.Files) > 0 {
			line += " " + strings.Join(op.Files, ",")
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

func (w *world) wantPlan(d policy.Decisions, want string) []policy.Operation {
	w.t.Helper()
	plan := w.plan(d)
	if got := brief(plan); got != want {
		w.t.Fatalf("plan: got %q, want %q", got, want)
	}
	return plan
}

// apply plans and executes, and fails the test on an error.
func (w *world) apply(d policy.Decisions) {
	w.t.Helper()
	w.carryOut(w.plan(d))
}

func (w *world) carryOut(plan []policy.Operation) {
	w.t.Helper()
	for _, r := range w.execute(plan) {
		if r.Err != nil {
			w.t.Errorf("%s %s: %v", r.Operation.Op, r.Operation.Slot, r.Err)
		}
	}
}

// execute carries the plan out under the lock.
func (w *world) execute(plan []policy.Operation) []policy.Result {
	w.t.Helper()
	unlock, err := w.exec.Lock(w.t.Context())
	must(w.t, err)
	defer unlock()
	return w.exec.Execute(w.t.Context(), plan, w.waiting)
}

func (w *world) alarmCodes() string {
	var codes []string
	for _, a := range w.last.Alarms {
		codes = append(codes, strings.TrimSpace(a.Code+" "+a.Profile))
	}
	return strings.Join(codes, "; ")
}

func (w *world) facts() policy.Slots {
	w.t.Helper()
	return (&Executor{ScanDir: w.scan}).Slots(w.t.Context())
}

// visible lists the names that s6-svscan would look at.
func (w *world) visible() []string {
	entries, err := os.ReadDir(w.scan)
	must(w.t, err)
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// staged lists the staging names, in use or left over.
func (w *world) staged() []string {
	entries, err := os.ReadDir(w.scan)
	must(w.t, err)
	var names []string
	for _, e := range entries {
		if scandir.IsStaging(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// startSvscan runs the real s6-svscan until the test ends. The test fails when a process
// of this world is left then.
func (w *world) startSvscan(options ...string) *s6test.Svscan {
	w.t.Helper()
	return s6test.Start(w.t, w.base, w.scan, options...)
}

func (w *world) processes() []s6test.Process {
	w.t.Helper()
	return s6test.Processes(w.t, w.base)
}

func (w *world) until(what string, condition func() bool) {
	w.t.Helper()
	if !s6test.Poll(condition) {
		w.t.Fatalf("still not: %s; scan directory: %+v", what, w.facts())
	}
}

func (w *world) untilUp(profile string) policy.Slot {
	w.t.Helper()
	w.until(profile+" is up", func() bool { return w.facts().Slots[policy.SlotName(profile)].Up })
	return w.facts().Slots[policy.SlotName(profile)]
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s: got %q, %v; want %q", path, got, err, want)
	}
}

// wantWritten waits for a file that a gateway writes with one call.
func (w *world) wantWritten(path, want string) {
	w.t.Helper()
	w.until("the gateway has written "+path, func() bool { info, err := os.Stat(path); return err == nil && info.Size() > 0 })
	wantFile(w.t, path, want)
}

func wantMode(t *testing.T, path string, want fs.FileMode, uid, gid int) {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	st := info.Sys().(*syscall.Stat_t)
	mode := st.Mode & 0o7777
	if mode != uint32(want) || int(st.Uid) != uid || int(st.Gid) != gid {
		t.Errorf("%s: got mode %04o owner %d:%d, want %04o %d:%d", path, mode, st.Uid, st.Gid, uint32(want), uid, gid)
	}
}

func asJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(data)
}

func sorted(s []string) []string { slices.Sort(s); return s }

// script writes an executable shell script.
func script(t testing.TB, path, text string) {
	t.Helper()
	s6test.Must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755))
}

// holding returns the options with which s6-svscan holds that many slots with loggers.
func holding(slots int) []string {
	usage, _ := exec.Command("s6-svscan", "-h").CombinedOutput()
	if strings.Contains(string(usage), "-c maxservices") {
		return []string{"-c", strconv.Itoa(slots)}
	}
	return []string{"-C", strconv.Itoa(2 * slots)}
}
