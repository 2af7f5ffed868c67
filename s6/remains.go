package s6

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/policy/wait"
	"hermes-reconcile/s6/supervise"
)

// remainsWait is how long the processes that a gateway started get to end after it before
// Kill kills them, and after that.
const remainsWait = time.Second

// A family is a gateway that is stopped and the processes that it started. s6 knows only
// the gateway itself.
type family struct {
	result  *policy.Result
	dir     beneath.Dir
	slot    string // as supervise.SlotVariable names it
	gateway supervise.Task
	before  []supervise.Task // that ran when the stop began
	left    []supervise.Task
}

// slotPath is what the processes of a slot's gateway name in supervise.SlotVariable.
func (e *Executor) slotPath(slot string) string {
	scan, err := filepath.Abs(e.ScanDir)
	if err != nil {
		scan = e.ScanDir
	}
	return filepath.Join(scan, slot)
}

// tasks are the processes of the user of the gateways.
func (x *execution) tasks() supervise.Tasks {
	if x.Root {
		return supervise.TasksOf(x.User.UID)
	}
	return supervise.TasksOf(os.Geteuid())
}

// familyOf looks at the gateway of a slot that is to be stopped.
func (x *execution) familyOf(r *policy.Result, slot beneath.Dir, tasks supervise.Tasks) *family {
	status, _ := supervise.ReadStatus(slot)
	f := &family{result: r, dir: slot, slot: x.slotPath(r.Operation.Slot), gateway: supervise.GatewayOf(status)}
	f.before = tasks.Of(f.gateway, f.slot, nil)
	return f
}

// endRemains waits for what the stopped gateways started, and with Kill kills it soon. It
// returns an error for each family of which something still runs.
func (x *execution) endRemains(ctx context.Context, families []*family) map[*policy.Result]error {
	families = slices.DeleteFunc(families, func(f *family) bool { return f.result.Err != nil })
	if len(families) == 0 {
		return nil
	}
	ended := func() bool { return x.haveEnded(families) }
	defer wait.For(ctx, "what the gateways started", x.Wait)()
	if !x.Kill {
		poll(ctx, x.Wait, ended)
	} else if !poll(ctx, min(x.Wait, remainsWait), ended) {
		poll(ctx, remainsWait, func() bool {
			for _, f := range families {
				f.kill(x.Log)
			}
			return x.haveEnded(families)
		})
	}
	errs := map[*policy.Result]error{}
	for _, f := range families {
		if len(f.left) > 0 {
			errs[f.result] = remainsError(f.left)
		}
	}
	return errs
}

// haveEnded reports whether nothing is left of the families. It looks at all processes only
// when those that it knows are gone.
func (x *execution) haveEnded(families []*family) bool {
	for _, f := range families {
		if slices.ContainsFunc(f.left, supervise.Task.Lives) && !f.isStartedAgain() {
			return false
		}
	}
	tasks, all := x.tasks(), true
	for _, f := range families {
		if f.left = nil; !f.isStartedAgain() {
			f.left = tasks.Of(f.gateway, f.slot, f.before)
		}
		all = all && len(f.left) == 0
	}
	return all
}

func (f *family) kill(log *slog.Logger) {
	for _, task := range f.left {
		if err := task.Signal(unix.SIGKILL); err != nil {
			log.Warn("a process of a gateway is not killed", "slot", f.result.Operation.Slot, "err", err)
		}
	}
}

// isStartedAgain reports whether another gateway runs in the slot, which then has
// processes of the same name.
func (f *family) isStartedAgain() bool {
	status, _ := supervise.ReadStatus(f.dir)
	now := supervise.GatewayOf(status)
	return now.PID != 0 && (now.PID != f.gateway.PID || now.Started != f.gateway.Started)
}

func remainsError(left []supervise.Task) error {
	var pids []string
	for _, task := range left {
		pids = append(pids, fmt.Sprint(task.PID))
	}
	of := "process of it still runs"
	if len(left) != 1 {
		of = "processes of it still run"
	}
	return fmt.Errorf("the gateway is down, and %d %s (pid %s); --kill ends them", len(left), of, policy.Few(pids))
}
