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
	"hermes-reconcile/policy/wait"
	"hermes-reconcile/s6/supervise"
)

// remainsWait is how long the processes that a gateway started get to end after it before
// Kill kills them, and after that.
const remainsWait = time.Second

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

// endRemains waits for what the stopped gateways started, and with Kill kills it soon. s6 knows
// only the gateways themselves.
func (x *execution) endRemains(ctx context.Context, stopped []*transition) {
	stopped = withoutError(stopped)
	if len(stopped) == 0 {
		return
	}
	ended := func() bool { return x.haveEnded(stopped) }
	defer wait.For(ctx, "what the gateways started", x.Wait)()
	if !x.Kill {
		poll(ctx, x.Wait, ended)
	} else if !poll(ctx, min(x.Wait, remainsWait), ended) {
		poll(ctx, remainsWait, func() bool {
			for _, t := range stopped {
				t.kill(x.Log)
			}
			return ended()
		})
	}
}

// haveEnded reports whether nothing is left of the gateways. It looks at all processes only
// when those that it knows are gone.
func (x *execution) haveEnded(stopped []*transition) bool {
	for _, t := range stopped {
		if slices.ContainsFunc(t.left, supervise.Task.Lives) && !t.isStartedAgain() {
			return false
		}
	}
	tasks, all := x.tasks(), true
	for _, t := range stopped {
		if t.left = nil; !t.isStartedAgain() {
			t.left = tasks.Of(t.gateway, x.slotPath(t.result.Operation.Slot), t.before)
		}
		all = all && len(t.left) == 0
	}
	return all
}

func (t *transition) kill(log *slog.Logger) {
	for _, task := range t.left {
		if err := task.Signal(unix.SIGKILL); err != nil {
			log.Warn("a process of a gateway is not killed", "slot", t.result.Operation.Slot, "err", err)
		}
	}
}

// isStartedAgain reports whether another gateway runs in the slot, which then has
// processes of the same name.
func (t *transition) isStartedAgain() bool {
	status, _ := supervise.ReadStatus(t.slot)
	now := supervise.GatewayOf(status)
	return now.PID != 0 && (now.PID != t.gateway.PID || now.Started != t.gateway.Started)
}

// remains is an error about what is left of the gateway.
func (t *transition) remains() error {
	var pids []string
	for _, task := range t.left {
		pids = append(pids, fmt.Sprint(task.PID))
	}
	of := "process of it still runs"
	switch len(pids) {
	case 0:
		return nil
	case 1:
	default:
		of = "processes of it still run"
	}
	return fmt.Errorf("the gateway is down, and %d %s (pid %s); --kill ends them", len(pids), of, policy.Few(pids))
}
