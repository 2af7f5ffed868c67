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
	"time"

	"hermes-reconcile/policy"
)

// A User is the unprivileged user that gateways run as.
type User struct {
	Name     string // as s6-setuidgid looks it up; empty: by UID and GID
	UID, GID int
}

// account is the argument of s6-setuidgid.
func (u User) account() string {
	if u.Name != "" {
		return u.Name
	}
	return strconv.Itoa(u.UID) + ":" + strconv.Itoa(u.GID)
}

// An Ownership decides who owns slots. It matters only for root.
type Ownership string

const (
	// Strict gives the user the control FIFOs, which is enough to control a slot.
	// It is the default.
	Strict Ownership = "strict"
	// Upstream also gives the user the scan directory itself and the control
	// FIFO of s6-svscan, as upstream's profile commands expect. A user who can
	// make slots is root: s6-supervise runs as root whatever the run script
	// does.
	Upstream Ownership = "upstream"
)

// An Executor plans and carries out changes of one scan directory. It holds only
// what is fixed for the scan directory; what a caller wants of one plan is in the
// options of Plan and Execute. A zero field has the default that its comment names.
//
// Hold Lock around Plan and Execute. An Executor keeps no state between calls, so
// two Executors, also in two processes, need nothing but that lock.
type Executor struct {
	ScanDir   string
	Home      string // of the gateways: HOME and working directory; has logs/gateways
	User      User   // of the gateways
	Root      bool   // this process is root, so files are given to User
	Ownership Ownership

	Command []string // "hermes"
	Args    []string // "gateway run --replace"; after -p NAME
	Shell   string   // after "#!": "/command/with-contenv sh" where that exists, else "/bin/sh"
	Tools   string   // directory of s6-log and s6-setuidgid: /command if it has them, else the one in PATH

	// Died is the command that a finish script runs, with the arguments that
	// s6-supervise gave it, when a rule has set a budget or pauses. The command
	// calls Death.Answer in the service directory and exits with 125 when the
	// gateway is to stay down. Without it only exit codes decide.
	Died []string
	// Capacity is how many gateways get a slot: nil as many as s6-svscan can
	// hold, 0 any number.
	Capacity *int

	LockTimeout time.Duration // 10 s
	Proc        string        // "/proc"
	Log         *slog.Logger  // none
}

// withDefaults returns a copy with every field filled in.
func (e *Executor) withDefaults() *Executor {
	c := *e
	c.Ownership = orDefault(c.Ownership, Strict)
	c.LockTimeout = orDefault(c.LockTimeout, 10*time.Second)
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

// overlayTools is where s6-overlay has its tools. A process that docker exec starts
// need not have it in PATH.
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
	if err == nil {
		found, err = filepath.Abs(found)
	}
	if err != nil {
		return overlayTools
	}
	return filepath.Dir(found)
}

// Slots looks at the scan directory. It is what a Source collects; the status is
// policy.StatusFailed when ctx has ended.
func (e *Executor) Slots(ctx context.Context) policy.Slots {
	s, err := (&Source{ScanDir: e.ScanDir, Proc: e.Proc}).look(ctx)
	if err != nil {
		return policy.Slots{Status: policy.StatusFailed}
	}
	return s
}

// Execute carries out the operations on slots and ignores those of other
// executors. It returns a result for each of its own, in their order. Consecutive
// publishes run in parallel, consecutive removals, starts and stops together.
//
// The caller holds Lock. A user who may not lock (the error wraps fs.ErrPermission)
// can still execute bring-up, bring-down, mark-down and clear-down, which need only
// control commands; other operations then fail one by one. Without any operation on
// slots nothing is touched.
func (e *Executor) Execute(ctx context.Context, operations []policy.Operation, o policy.ExecuteOptions) []policy.Result {
	var results []policy.Result
	for _, op := range operations {
		if stepOf(op.Op) != nil {
			results = append(results, policy.Result{Operation: op})
		}
	}
	if len(results) == 0 {
		return nil
	}
	x, err := e.begin(o)
	if err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	defer x.end()
	for from := 0; from < len(results); {
		op := results[from].Operation.Op
		to := from + 1
		for to < len(results) && results[to].Operation.Op == op {
			to++
		}
		stepOf(op)(x, ctx, results[from:to])
		from = to
	}
	return results
}

// A step carries out consecutive operations of one kind and sets Done and Err of
// their results.
type step func(x *execution, ctx context.Context, results []policy.Result)

// stepOf returns the step for a kind of operation, nil for those of other executors.
func stepOf(op policy.Op) step {
	switch op {
	case policy.OpPublish:
		return inParallel((*execution).publish)
	case policy.OpUpdate:
		return inOrder((*execution).update)
	case policy.OpMarkDown:
		return inOrder((*execution).markDown)
	case policy.OpClearDown:
		return inOrder((*execution).clearDown)
	case policy.OpRescan:
		return inOrder((*execution).rescan)
	case policy.OpRemove:
		return (*execution).removeAll
	case policy.OpBringUp, policy.OpBringDown:
		return (*execution).bring
	}
	return nil
}

// A single carries out one operation.
type single func(x *execution, ctx context.Context, op policy.Operation) (done bool, err error)

func inOrder(one single) step {
	return func(x *execution, ctx context.Context, results []policy.Result) {
		for i := range results {
			one.carryOut(x, ctx, &results[i])
		}
	}
}

func inParallel(one single) step {
	return func(x *execution, ctx context.Context, results []policy.Result) {
		each(len(results), func(i int) { one.carryOut(x, ctx, &results[i]) })
	}
}

func (one single) carryOut(x *execution, ctx context.Context, r *policy.Result) {
	if r.Err = ctx.Err(); r.Err != nil {
		return
	}
	done, err := one(x, ctx, r.Operation)
	finish(r, done, err)
}

// finish sets how an operation ended. An operation that failed is not done.
func finish(r *policy.Result, done bool, err error) {
	if err != nil && r.Operation.Slot != "" {
		err = fmt.Errorf("%s %s: %w", r.Operation.Op, r.Operation.Slot, err)
	}
	r.Done, r.Err = done && err == nil, err
}

// each calls do for 0 to n-1, a few at a time. The workers share the numbers out
// beforehand: a goroutine for each number, as errgroup has it, takes a sixth longer to
// plan 1,000 slots.
func each(n int, do func(i int)) {
	var group sync.WaitGroup
	workers := 2 * runtime.GOMAXPROCS(0)
	for first := range min(n, workers) {
		group.Go(func() {
			for i := first; i < n; i += workers {
				do(i)
			}
		})
	}
	group.Wait()
}
