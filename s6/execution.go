package s6

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"sync"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/scripts"
	"hermes-reconcile/s6/supervise"
)

// An execution is one run of Execute.
type execution struct {
	*Executor
	policy.ExecuteOptions
	scan       *scandir.Dir
	render     *scripts.Renderer
	operations []policy.Operation
}

func (e *Executor) begin(o policy.ExecuteOptions) (*execution, error) {
	x := &execution{Executor: e.withDefaults(), ExecuteOptions: o}
	x.Wait = cmp.Or(x.Wait, 10*time.Second)
	var err error
	if x.render, err = x.newRenderer(); err != nil {
		return nil, err
	}
	if x.scan, err = scandir.Open(e.ScanDir); err != nil {
		return nil, fmt.Errorf("scan directory: %w", err)
	}
	x.giveScanDir()
	return x, nil
}

// carryOut carries out consecutive operations of one kind and sets Done and Err of
// their results.
func (x *execution) carryOut(ctx context.Context, results []policy.Result) {
	one := func(i int) {
		done, err := false, ctx.Err()
		if err == nil {
			done, err = x.one(ctx, results[i].Operation)
		}
		finish(&results[i], done, err)
	}
	switch results[0].Operation.Op {
	case policy.OpRemove:
		x.removeAll(ctx, results)
	case policy.OpBringUp, policy.OpBringDown:
		x.bring(ctx, results)
	case policy.OpPublish:
		each(len(results), one)
	default:
		for i := range results {
			one(i)
		}
	}
}

// one carries out one operation. done is false when nothing had to be changed.
func (x *execution) one(ctx context.Context, op policy.Operation) (done bool, err error) {
	switch op.Op {
	case policy.OpPublish:
		err := x.publish(op)
		return err == nil, err
	case policy.OpRescan:
		return x.rescan(ctx)
	case policy.OpUpdate:
		if op.Slot == scanDirSlot {
			err := x.takeScanDirBack(ctx, op.Files)
			return err == nil, err
		}
	}
	slot, err := scandir.OpenOwned(x.scan.Dir, op.Slot)
	switch {
	case op.Op == policy.OpMarkDown && errors.Is(err, fs.ErrNotExist):
		return false, nil // removed meanwhile: nothing starts it
	case err != nil:
		return false, err
	}
	defer slot.Close()
	if op.Op == policy.OpUpdate {
		err := x.update(ctx, slot, op)
		return err == nil, err
	}
	return x.setDown(ctx, slot, op.Op == policy.OpMarkDown)
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

// replace replaces a file of a slot. The next run removes what an interruption leaves
// in the scan directory.
func (x *execution) replace(slot beneath.Dir, f beneath.File) error {
	return slot.Replace(f, x.scan.Dir, scandir.StagingName())
}

// ask writes control commands to a process of s6. A process that has just started
// holds its lock a moment before it listens (seen with strace), so ask waits for it.
// The error is supervise.ErrNobody when no process runs.
func (x *execution) ask(ctx context.Context, p supervise.Process, dir beneath.Dir, commands string) error {
	var err error
	answered := poll(ctx, x.Wait, func() bool {
		err = p.Ask(dir, commands)
		if !errors.Is(err, supervise.ErrNobody) {
			return true
		}
		runs, _, lookErr := p.Runs(dir)
		return lookErr == nil && !runs
	})
	if !answered {
		return errors.Join(errors.New("it holds its lock and does not listen"), ctx.Err())
	}
	return err
}

// poll calls condition until it is true, or the limit or ctx is over, and reports whether
// it was true.
func poll(ctx context.Context, limit time.Duration, condition func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !condition() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return condition()
		}
	}
	return true
}
