package s6

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// A bringing is one supervised slot on its way up or down.
type bringing struct {
	result *policy.Result
	fd     int
	before status
	death  string    // the last one before it was asked to start, as s6 recorded it
	asked  time.Time // when the letter was written
	since  time.Time // when the gateway was seen up first
	downAt time.Time // when it was seen to stay down
}

// bringUp starts the gateways of supervised slots, all at once, and waits until
// they run, each for Steady. The supervisor removes the down file, so that the
// gateway comes back with a new supervisor too. A gateway that ends meanwhile is an
// error with its exit code.
//
// A restart is a bring-down and a bring-up: the letters that restart leave a gateway
// down whose finish script answers 125 (seen with s6 2.11 and 2.15).
func (x *execution) bringUp(ctx context.Context, results []policy.Result) {
	x.bring(ctx, results, "U", func(b *bringing) (bool, error) {
		down, err := exists(b.fd, downName)
		if err != nil || b.before.Up() && b.before.WantUp && !down && time.Since(b.before.Stamp) >= x.Steady {
			return true, err
		}
		return false, x.beforeStart(b)
	}, (*execution).isSteady)
}

// bringDown stops the gateways of slots, all at once, and waits until they and their
// finish scripts are gone. The supervisor makes the down file, so that they stay
// down with a new supervisor too. A slot that nothing supervises is down.
func (x *execution) bringDown(ctx context.Context, results []policy.Result) {
	x.bring(ctx, results, "D", func(b *bringing) (bool, error) {
		down, err := exists(b.fd, downName)
		return b.before.Down() && !b.before.WantUp && down, err
	}, (*execution).isStopped)
}

// askAgain is after how long a letter without effect is written again. s6-supervise
// forgets that a gateway is wanted when its finish script then answers 125, and a "U"
// of somebody else removes the down file.
const askAgain = time.Second

// again writes the letter once more if enough time has passed.
func (x *execution) again(ctx context.Context, b *bringing, letter string) error {
	if time.Since(b.asked) < askAgain {
		return nil
	}
	b.asked = time.Now()
	return x.tell(ctx, b.fd, letter)
}

// isStopped reports whether a gateway is down for good, or no longer the one that was to
// be stopped.
func (x *execution) isStopped(ctx context.Context, b *bringing) (bool, error) {
	down, err := exists(b.fd, downName)
	switch {
	case err != nil:
		return false, err
	case x.isGone(b), x.isAnother(b):
		return true, nil
	case !isDown(b.fd):
		return false, nil
	case !down:
		return false, x.again(ctx, b, "D")
	}
	return true, nil
}

// A condition reports whether a slot is where it was brought. An error ends the waiting
// for it.
type condition func(*execution, context.Context, *bringing) (bool, error)

// bring writes a letter to every slot that is not there yet, and then waits for all
// of them together.
func (x *execution) bring(ctx context.Context, results []policy.Result, letter string,
	already func(*bringing) (bool, error), there condition) {
	var going []*bringing
	defer func() {
		for _, b := range going {
			_ = unix.Close(b.fd)
		}
	}()
	for i := range results {
		b, err := x.beginBringing(ctx, &results[i], letter, already)
		if err != nil {
			results[i].Err = fmt.Errorf("%s %s: %w", results[i].Operation.Op, results[i].Operation.Slot, err)
		} else if b != nil {
			going = append(going, b)
		}
	}
	if x.NoWait && (letter == "U" || !x.restarts()) {
		for _, b := range going {
			b.result.Done = true
		}
		return
	}
	late := x.waitFor(ctx, going, there)
	if letter == "D" && x.Force && len(late) > 0 && ctx.Err() == nil {
		late = x.kill(ctx, late, there)
	}
	for _, b := range late {
		b.fail(errors.Join(x.late(b, letter), ctx.Err()))
	}
}

// restarts says that what is stopped may be started again, and has to be down first.
func (x *execution) restarts() bool { return x.RestartChanged || len(x.Restart)+len(x.Start) > 0 }

// beginBringing writes the letter; nil is a slot where there is nothing to do.
func (x *execution) beginBringing(ctx context.Context, result *policy.Result, letter string, already func(*bringing) (bool, error)) (*bringing, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fd, before, err := x.openSupervised(result.Operation.Slot)
	if letter == "D" && (errors.Is(err, errNobody) || errors.Is(err, fs.ErrNotExist)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b := &bringing{result: result, fd: fd, before: before, death: lastDeath(fd), asked: time.Now()}
	done, err := already(b)
	if err == nil && !done {
		err = x.tell(ctx, fd, letter)
	}
	if letter == "D" && errors.Is(err, errNobody) {
		done, err = true, nil // it has ended
	}
	if err != nil || done {
		_ = unix.Close(fd)
		return nil, err
	}
	return b, nil
}

// waitFor waits until each is there or has failed, and returns those that are
// neither in time.
func (x *execution) waitFor(ctx context.Context, going []*bringing, there condition) (late []*bringing) {
	late = slices.Clone(going)
	poll(ctx, x.Wait, func() bool {
		late = slices.DeleteFunc(late, func(b *bringing) bool {
			done, err := there(x, ctx, b)
			b.result.Done = done && err == nil
			b.fail(err)
			return done || err != nil
		})
		return len(late) == 0
	})
	return late
}

// kill ends gateways that do not stop by themselves.
func (x *execution) kill(ctx context.Context, late []*bringing, there condition) []*bringing {
	for _, b := range late {
		b.fail(x.killGateway(ctx, b.fd, b.result.Operation.Slot))
	}
	return x.waitFor(ctx, late, there)
}

func (x *execution) killGateway(ctx context.Context, slotfd int, slot string) error {
	s, _ := statusOf(slotfd)
	x.Log.Warn("a gateway does not stop and is killed", "slot", slot, "pid", s.PID)
	return x.tell(ctx, slotfd, "k")
}

func (x *execution) late(b *bringing, letter string) error {
	if letter == "U" {
		return fmt.Errorf("the gateway is not up after %v", x.Wait)
	}
	return x.notDown(b.fd)
}

func (x *execution) notDown(slotfd int) error {
	if s, _ := statusOf(slotfd); s.Up() {
		return fmt.Errorf("the gateway is not down after %v: pid %d still runs", x.Wait, s.PID)
	}
	return fmt.Errorf("the gateway is not down after %v", x.Wait)
}

func (b *bringing) fail(err error) {
	if err != nil {
		op := b.result.Operation
		b.result.Err = fmt.Errorf("%s %s: %w", op.Op, op.Slot, err)
	}
}

// beforeStart lets a start that somebody wants begin anew: deaths that were counted
// are forgotten, and it waits only as long as the rules say now. Only who owns the
// slot can do that, and it is no condition.
func (x *execution) beforeStart(b *bringing) error {
	err := unix.Unlinkat(b.fd, tallyName, 0)
	if err != nil && !isAbsent(err) && !isForbidden(err) {
		return fmt.Errorf("remove %s: %w", tallyName, err)
	}
	if pause, ok := pauseFile(b.result.Operation.DelaySeconds); ok {
		err = x.replaceFile(b.fd, pause)
	} else {
		err = unix.Unlinkat(b.fd, pauseName, 0)
	}
	if err != nil && !isAbsent(err) && !isForbidden(err) {
		return fmt.Errorf("set %s: %w", pauseName, err)
	}
	return nil
}

// isSteady reports whether a gateway has been up for Steady. One that ended since it
// was asked to start is an error, also where it ended too fast to be seen up.
func (x *execution) isSteady(ctx context.Context, b *bringing) (bool, error) {
	s, ok := statusOf(b.fd)
	last := lastDeath(b.fd)
	switch {
	case x.isGone(b):
		return false, errors.New("its slot was removed meanwhile")
	case !ok:
		return false, nil
	case s.Down() && !s.WantUp && s.Stamp != b.before.Stamp:
		return false, x.staysDown(b, s)
	case s.Down() && !s.WantUp:
		return false, x.again(ctx, b, "U")
	case x.Steady > 0 && s.follows(last, b.death):
		if !s.endedAsStopped() {
			return false, fmt.Errorf("the gateway ended after less than %v with %s; it is started again", x.Steady, s.ending())
		}
		// Somebody who cannot take the lock restarts it, and it begins anew.
		b.death, b.since, b.downAt = last, time.Time{}, time.Time{}
		return false, nil
	case !s.Up() || !s.WantUp:
		return false, nil
	case b.since.IsZero():
		b.since = time.Now()
	}
	return time.Since(b.since) >= x.Steady, nil
}

// isAnother says that a gateway which is to be restarted was so already, by somebody who
// did not wait for us, or for whom we could not.
func (x *execution) isAnother(b *bringing) bool {
	s, ok := statusOf(b.fd)
	return ok && x.restarts() && b.before.Up() && s.Up() && s.WantUp && s.PID != b.before.PID
}

// isGone says that the slot was removed meanwhile, or another is in its place. Users
// who cannot take the lock may see that.
func (x *execution) isGone(b *bringing) bool {
	var was, is unix.Stat_t
	if unix.Fstat(b.fd, &was) != nil {
		return false
	}
	err := unix.Fstatat(x.scan.fd, b.result.Operation.Slot, &is, unix.AT_SYMLINK_NOFOLLOW)
	return isAbsent(err) || err == nil && is.Ino != was.Ino
}

// endedAsStopped says that the gateway ended as one does that somebody stops.
func (s status) endedAsStopped() bool {
	return s.ExitCode() == 0 || s.Signal() == int(unix.SIGTERM)
}

// staysDown is an error, but not at once where a restart by somebody who cannot take the
// lock looks the same.
func (x *execution) staysDown(b *bringing, s status) error {
	if b.downAt.IsZero() {
		b.downAt = time.Now()
	}
	if s.endedAsStopped() && time.Since(b.downAt) < x.Steady {
		return nil
	}
	if down, _ := exists(b.fd, downName); down {
		return fmt.Errorf("the gateway ended at once with %s and stays down: a stop or a used-up budget made its down file", s.ending())
	}
	return fmt.Errorf("the gateway ended at once with %s and stays down", s.ending())
}

// follows says that there is a newer death than before, and that the status is what
// came after it: the death is recorded first, and the finish script has its say.
func (s status) follows(last, before string) bool {
	deaths, ok := decodeDeaths([]byte(last))
	return ok && len(deaths) > 0 && last != before && !s.Finishing && !s.Stamp.Before(deaths[0].At)
}

// lastDeath is the newest record of the death_tally file, "" where there is none.
func lastDeath(slotfd int) string {
	data, err := readRegular(slotfd, superviseDeaths)
	if err != nil || len(data) < deathSize {
		return ""
	}
	return string(data[len(data)-deathSize:])
}

// openSupervised opens a slot of ours that has a supervisor; the error wraps
// errNobody when it has none.
func (x *execution) openSupervised(slot string) (int, status, error) {
	slotfd, err := openOwned(x.scan.fd, slot)
	if err != nil {
		return -1, status{}, err
	}
	held, _, err := lockHolder(slotfd, superviseLock)
	if err == nil && !held {
		err = fmt.Errorf("no supervisor has it, s6-svscan has to scan first: %w", errNobody)
	}
	if err != nil {
		_ = unix.Close(slotfd)
		return -1, status{}, err
	}
	s, _ := statusOf(slotfd)
	return slotfd, s, nil
}

// isDown reports whether no gateway of the slot runs and none will by itself: a
// slot without a supervisor is down.
func isDown(slotfd int) bool {
	held, _, err := lockHolder(slotfd, superviseLock)
	if err != nil {
		return false
	}
	s, ok := statusOf(slotfd)
	return !held || ok && s.Down() && !s.WantUp
}
