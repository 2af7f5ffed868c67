package s6

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"hermes-reconcile/policy"
)

// An execution is one run of Execute.
type execution struct {
	*Executor
	policy.ExecuteOptions
	scan   *scanDir
	render *renderer

	staging string       // start of our names in this run
	count   atomic.Int64 // of names given
}

func (e *Executor) begin(o policy.ExecuteOptions) (*execution, error) {
	x := &execution{Executor: e.withDefaults(), ExecuteOptions: o}
	x.Wait = orDefault(x.Wait, 10*time.Second)
	var err error
	if x.render, err = newRenderer(x.Executor); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(e.ScanDir, 0o755); err != nil {
		return nil, fmt.Errorf("scan directory: %w", err)
	}
	if x.scan, err = openScanDir(e.ScanDir); err != nil {
		return nil, fmt.Errorf("scan directory: %w", err)
	}
	x.staging = stagingPrefix + strings.ToLower(rand.Text()[:10]) + "-"
	x.giveScanDir()
	return x, nil
}

func (x *execution) end() { x.scan.close() }

// stagingName returns a new name below the scan directory that s6-svscan ignores.
func (x *execution) stagingName() string {
	return x.staging + strconv.FormatInt(x.count.Add(1), 10)
}

// askSupervisor writes control commands to the supervisor of a slot, as ask does.
func (x *execution) askSupervisor(ctx context.Context, slotfd int, commands string) error {
	return x.ask(ctx, slotfd, superviseControl, commands, func() bool {
		held, _, err := lockHolder(slotfd, superviseLock)
		return err == nil && held
	})
}

// askSvscan writes control commands to s6-svscan, as ask does.
func (x *execution) askSvscan(ctx context.Context, commands string) error {
	return x.ask(ctx, x.scan.fd, svscanControl, commands, func() bool { return findSvscan(x.scan.fd, x.Proc).Running })
}

// ask writes control commands to a process of s6. A process that has just started
// holds its lock a moment before it listens (seen with strace), so ask waits for it.
// The error is errNobody when no process runs.
func (x *execution) ask(ctx context.Context, dirfd int, control, commands string, runs func() bool) error {
	var err error
	answered := poll(ctx, x.Wait, func() bool {
		err = writeControl(dirfd, control, commands)
		return !errors.Is(err, errNobody) || !runs()
	})
	if !answered {
		return errors.Join(errors.New("it holds its lock and does not listen"), ctx.Err())
	}
	return err
}

// poll calls condition until it is true or the limit is over, and reports whether it
// was true.
func poll(ctx context.Context, limit time.Duration, condition func() bool) bool {
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-end.C:
			return condition()
		case <-ctx.Done():
			return false
		}
	}
	return true
}
