package service

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/process"
)

// errUnseen is why changes on the volume are not seen although the kernel has inotify.
var errUnseen = errors.New("the file system tells nothing of changes, not even of those made here; it is looked at every watch.resync")

// watchVolume turns changes on the volume into triggers, and writes the lease meanwhile.
func (w *watcher) watchVolume(ctx context.Context) error {
	child, err := world.Volume(w.current(), policy.PhaseApply)
	if err != nil {
		return err
	}
	defer child.Close()
	for {
		keys, err := child.Events(ctx, min(w.times().Resync, w.lease.pause(time.Now())))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, remote.ErrNoEvents):
			w.quiet(watch.Volume, err)
		case err != nil:
			return err
		case !child.EventsSeen():
			w.quiet(watch.Volume, errUnseen)
		default:
			w.quiet(watch.Volume, nil)
		}
		for _, key := range keys {
			w.trigger(ctx, watch.Trigger{Kind: watch.Volume, Key: key})
		}
		if w.tendLease(ctx, child) {
			w.trigger(ctx, watch.Trigger{Kind: watch.Volume})
		}
	}
}

// A leaseKeeper is what a watch does about the lease of the volume: a pass decides, and the
// process for the volume writes.
type leaseKeeper struct {
	mutex   sync.Mutex
	dir     string
	step    watch.LeaseStep
	memory  watch.LeaseMemory
	kept    watch.LeaseMemory // what its file has
	next    watch.LeaseMemory // once the lease is written
	lease   engine.Lease      // to be written
	written time.Time
	problem string // why it cannot be written
}

func newLeaseKeeper(dir string) (*leaseKeeper, error) {
	k := &leaseKeeper{dir: dir}
	var err error
	if k.memory, err = watch.Read[watch.LeaseMemory](dir, policy.LeaseMemoryFile); err == nil && k.memory.ID != "" {
		k.kept = k.memory
		return k, nil
	}
	k.memory = watch.LeaseMemory{ID: rand.Text()}
	return k, k.memory.Keep(dir)
}

// tending is how often the keeper looks whether there is something to do, unless it has the
// lease.
const tending = time.Second

// pause returns how long nothing has to be written.
func (k *leaseKeeper) pause(now time.Time) time.Duration {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.step != watch.LeaseRenew {
		return tending
	}
	return max(time.Millisecond, k.written.Add(k.renewal()).Sub(now))
}

// renewal is the time from one writing to the next. One may fail before another container
// takes the lease.
func (k *leaseKeeper) renewal() time.Duration { return time.Duration(k.lease.TTL) * time.Second / 4 }

// passed learns from a pass what to do about the lease.
func (k *leaseKeeper) passed(r reconcile.Report, now time.Time) {
	p, ok := r.Evaluator.(*process.Policy)
	if !ok {
		return
	}
	ttl, _ := strconv.Atoi(p.Setting("volume_owner_ttl_seconds"))
	look := watch.LeaseLook{
		Now: now, Container: r.Input.Container, TTL: time.Duration(ttl) * time.Second,
		Aside: len(r.Decisions.Skip) > 0 || ttl <= 0 || p.Setting("volume_owner_share") == "true",
	}
	host := policy.HostOf(r.Input.Container)
	k.mutex.Lock()
	defer k.mutex.Unlock()
	step, memory := k.memory.Next(look)
	k.step, k.next = step, memory
	k.lease = engine.Lease{
		Host: cmp.Or(host.Hostname, "unknown"), BootID: host.BootID, ContainerStart: host.Started, ID: k.memory.ID, TTL: ttl, Over: memory.OtherID,
	}
	if step != watch.LeaseTake {
		k.remember(memory)
	}
}

func (k *leaseKeeper) remember(m watch.LeaseMemory) {
	k.memory = m
	if m == k.kept {
		return
	}
	if err := m.Keep(k.dir); err != nil {
		k.problem = err.Error()
		return
	}
	k.kept = m
}

// alarms returns the alarm that the lease cannot be written.
func (k *leaseKeeper) alarms() []policy.Alarm {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.problem == "" {
		return nil
	}
	return []policy.Alarm{{Code: watch.CodeLease, Reason: "the lease of the volume cannot be written, so another container may take it: " + k.problem}}
}

// tendLease writes the lease when it is time. It reports whether a pass is needed: the lease
// was taken, or another container was faster.
func (w *watcher) tendLease(ctx context.Context, child *remote.Child) (look bool) {
	k := w.lease
	k.mutex.Lock()
	defer k.mutex.Unlock()
	now := time.Now()
	takes := k.step == watch.LeaseTake
	if !takes && (k.step != watch.LeaseRenew || now.Sub(k.written) < k.renewal()) {
		return false
	}
	k.lease.SeenAt = now
	err := child.WriteLease(ctx, k.lease)
	switch {
	case errors.Is(err, engine.ErrLeaseTaken):
		k.step, k.problem = watch.LeaseWait, ""
		return true
	case err != nil:
		k.problem = err.Error()
		return false
	}
	k.problem, k.step, k.written = "", watch.LeaseRenew, now
	k.remember(k.next)
	return takes
}

// The end of a watch.
const (
	// LastWait is how long its gateways get to end when the container does.
	LastWait = 5 * time.Second
	lastLook = time.Second // until the supervisors of a busy machine know that they are to end
)

// release gives the lease away when the container ends. A watch that only starts anew keeps
// it, because its gateways go on.
func (w *watcher) release() error {
	w.lease.mutex.Lock()
	defer w.lease.mutex.Unlock()
	c := w.current()
	executor, err := world.Executor(c, w.Log)
	if err != nil || w.lease.step != watch.LeaseRenew {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), LastWait)
	defer cancel()
	for begun := time.Now(); ; time.Sleep(lastLook / 20) {
		slots := executor.Slots(ctx)
		ending, running := 0, 0
		for _, slot := range slots.Slots {
			switch {
			case slot.Up && slot.WantedUp && slot.Supervised != nil && *slot.Supervised:
				running++
			case slot.Up:
				ending++
			}
		}
		startsAnew := slots.Watch == nil || slots.Watch.WantedUp
		if running > 0 && startsAnew && time.Since(begun) > lastLook || ctx.Err() != nil || !slots.Known() {
			return nil
		}
		if running+ending == 0 {
			break
		}
	}
	child, err := world.Volume(c, policy.PhaseApply)
	if err != nil {
		return err
	}
	defer child.Close()
	if err := child.ReleaseLease(ctx, w.lease.memory.ID); err != nil {
		return fmt.Errorf("release the lease of the volume: %w", err)
	}
	// What was seen of other leases gets old without a watch.
	return watch.LeaseMemory{ID: w.lease.memory.ID}.Keep(w.lease.dir)
}
