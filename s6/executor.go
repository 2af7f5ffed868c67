package s6

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"hermes-reconcile/policy"
)

// A User is the unprivileged user that gateways run as.
type User struct {
	Name     string // as s6-setuidgid looks it up; empty: by UID and GID
	UID, GID int
}

// account is what s6-setuidgid takes.
func (u User) account() string {
	if u.Name != "" {
		return u.Name
	}
	return strconv.Itoa(u.UID) + ":" + strconv.Itoa(u.GID)
}

// An Ownership says to whom slots belong. It matters only for root.
type Ownership string

const (
	// Strict gives the user the control FIFOs and the event directories, which
	// is enough to control and watch a slot. It is the default.
	Strict Ownership = "strict"
	// Upstream also gives the user the scan directory itself and the control
	// FIFO of s6-svscan, as upstream's profile commands expect. A user who can
	// make slots is root: s6-supervise runs as root whatever the run script
	// says.
	Upstream Ownership = "upstream"
)

// An Executor makes the slots of a scan directory what decisions say. Fields
// left zero have the default that they name. It is not safe for concurrent use;
// two Executors, in two processes too, keep each other out by a lock.
type Executor struct {
	ScanDir   string
	Home      string // of the gateways: HOME and working directory; has logs/gateways
	User      User
	Root      bool // we run as root, so files are given to the user
	Ownership Ownership

	Command []string // "hermes"
	Args    []string // "gateway run --replace"; after -p NAME
	Shell   string   // after "#!": "/command/with-contenv sh" where that exists, else "/bin/sh"
	Tools   string   // directory of s6-log and s6-setuidgid: /command where it has them, else where PATH does

	// Capacity is how many gateways get a slot: nil as many as s6-svscan can
	// hold, 0 any number.
	Capacity *int
	// Prune removes the slots of ours for which there is no decision at all.
	// Only a caller who knows that the list of profiles is complete may set it.
	Prune bool
	// Rescan ends a plan with a scan where s6-svscan runs and a slot is made,
	// removed, or there without a supervisor. Without it nothing starts before
	// somebody else asks for a scan; only the removal of a supervised slot
	// cannot do without one.
	Rescan bool
	// Died is the command that a finish script runs, with the arguments that
	// s6-supervise gave it, where a rule has set a budget or pauses: it calls
	// Death.Answer in the service directory and exits with 125 when the gateway is
	// to stay down. Without it only exit codes count.
	Died []string

	// Live also starts and stops slots that are supervised already, and waits until
	// new ones run.
	Live bool
	// RestartChanged, with Live, also restarts the gateways that run with an older
	// run script than their slot has; without it they are in Pending.
	RestartChanged bool
	// Restart, with Live, names profiles whose gateways are restarted where they are
	// wanted up and the decision is to start them.
	Restart []string
	// Start, with Live, names profiles whose gateways somebody wants to see up. One that
	// is wanted up and has just ended, or pauses, begins anew.
	Start []string
	// Force, with Live, kills a gateway that is not down after Wait.
	Force bool
	// NoWait asks for starts and stops and does not look at what becomes of them,
	// but for the stop of a restart.
	NoWait bool
	// Steady is how long a gateway has to live until its start counts as done.
	Steady time.Duration

	LockTimeout time.Duration // for the lock between reconcilers: 10 s
	Wait        time.Duration // for each change that a supervisor makes: 10 s
	Proc        string        // "/proc"
	Log         *slog.Logger  // none

	alarms  []policy.Alarm
	pending []string
	held    bool // by Lock
}

// The codes of the alarms about one profile; "capacity" is about all of them.
const (
	alarmForeign    = "slot_foreign"    // something that is no slot of ours has its name
	alarmUnreadable = "slot_unreadable" // it cannot be compared
	alarmImpossible = "slot_impossible" // no slot can have that name or that content
	alarmOwner      = "slot_owner"      // part of it belongs to another user
	alarmNoSvscan   = "no_svscan"       // nothing supervises the scan directory
)

// Pending are the profiles whose gateways, by the last Plan, go on running with the
// run script that they were started with: another one takes effect when they start
// the next time. They are sorted.
func (e *Executor) Pending() []string { return e.pending }

// Alarms are what the last Plan has left alone and why: a foreign thing under
// the name of a slot, a name that cannot be one, the surplus over the capacity.
func (e *Executor) Alarms() []policy.Alarm { return e.alarms }

// withDefaults returns a copy with every field filled in.
func (e *Executor) withDefaults() *Executor {
	c := *e
	c.Ownership = orDefault(c.Ownership, Strict)
	c.LockTimeout = orDefault(c.LockTimeout, 10*time.Second)
	c.Wait = orDefault(c.Wait, 10*time.Second)
	c.Proc = orDefault(c.Proc, "/proc")
	c.Shell = orDefault(c.Shell, defaultShell())
	c.Tools = orDefault(c.Tools, defaultTools())
	if c.Command == nil {
		c.Command = []string{"hermes"}
	}
	if c.Args == nil {
		c.Args = []string{"gateway", "run", "--replace"}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &c
}

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// overlayTools is where s6-overlay has its tools; the PATH of a process that
// docker exec starts need not have it.
const overlayTools = "/command"

func defaultShell() string {
	if _, err := os.Stat(overlayTools + "/with-contenv"); err == nil {
		return overlayTools + "/with-contenv sh"
	}
	return "/bin/sh"
}

func defaultTools() string {
	if _, err := os.Stat(overlayTools + "/s6-log"); err == nil {
		return overlayTools
	}
	found, err := exec.LookPath("s6-log")
	if err != nil {
		return overlayTools
	}
	found, err = filepath.Abs(found)
	if err != nil {
		return overlayTools
	}
	return filepath.Dir(found)
}

// Execute carries out the operations on slots and leaves those of other
// executors alone. Consecutive publishes run side by side, consecutive removals
// together; otherwise the order is kept. Without any operation on slots nothing
// is touched.
func (e *Executor) Execute(ctx context.Context, operations []policy.Operation) []policy.Result {
	var own []policy.Operation
	for _, op := range operations {
		if _, ok := steps[op.Op]; ok {
			own = append(own, op)
		}
	}
	if len(own) == 0 {
		return nil
	}
	results := make([]policy.Result, len(own))
	for i, op := range own {
		results[i].Operation = op
	}
	x, err := e.begin(ctx, own)
	if err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	defer x.end()
	for from := 0; from < len(own); {
		to := from + 1
		for to < len(own) && own[to].Op == own[from].Op {
			to++
		}
		steps[own[from].Op](x, ctx, results[from:to])
		from = to
	}
	return results
}

// steps has, for each operation on slots, the function that carries out a run of
// them. Each sets Done and Err of the results.
var steps map[policy.Op]func(x *execution, ctx context.Context, results []policy.Result)

func init() {
	steps = map[policy.Op]func(x *execution, ctx context.Context, results []policy.Result){
		policy.OpPublish:   sideBySide((*execution).publish),
		policy.OpUpdate:    inOrder((*execution).update),
		policy.OpMarkDown:  inOrder((*execution).markDown),
		policy.OpClearDown: inOrder((*execution).clearDown),
		policy.OpRemove:    (*execution).removeAll,
		policy.OpBringUp:   (*execution).bringUp,
		policy.OpBringDown: (*execution).bringDown,
		policy.OpRescan:    inOrder((*execution).rescan),
	}
}

type step = func(x *execution, ctx context.Context, op policy.Operation) (done bool, err error)

func inOrder(one step) func(*execution, context.Context, []policy.Result) {
	return func(x *execution, ctx context.Context, results []policy.Result) {
		for i := range results {
			carryOut(x, ctx, one, &results[i])
		}
	}
}

func sideBySide(one step) func(*execution, context.Context, []policy.Result) {
	return func(x *execution, ctx context.Context, results []policy.Result) {
		each(len(results), func(i int) { carryOut(x, ctx, one, &results[i]) })
	}
}

func carryOut(x *execution, ctx context.Context, one step, r *policy.Result) {
	if r.Err = ctx.Err(); r.Err != nil {
		return
	}
	r.Done, r.Err = one(x, ctx, r.Operation)
	if r.Err != nil && r.Operation.Slot != "" {
		r.Err = fmt.Errorf("%s %s: %w", r.Operation.Op, r.Operation.Slot, r.Err)
	}
}

// each calls do for 0 to n-1, a few at a time.
func each(n int, do func(i int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, 2*runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				do(i)
			}
		})
	}
	workers.Wait()
}
