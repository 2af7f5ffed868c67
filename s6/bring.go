package s6

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// bringUp starts the gateway of a supervised slot and waits until it runs. A
// gateway that ends at once and stays down is an error with its exit code. A
// restart is a bring-down and a bring-up: the letters that restart leave a
// gateway down whose finish script answers 125 (seen with s6 2.11 and 2.15).
func (x *execution) bringUp(ctx context.Context, op policy.Operation) (bool, error) {
	slotfd, before, err := x.openSupervised(op.Slot)
	if err != nil {
		return false, err
	}
	defer unix.Close(slotfd)
	if before.Up() && before.WantUp {
		return false, nil
	}
	if err := writeControl(slotfd, superviseControl, "u"); err != nil {
		return false, err
	}
	var now status
	ended := false
	up := poll(ctx, x.Wait, func() bool {
		s, ok := statusOf(slotfd)
		if !ok {
			return false
		}
		now = s
		ended = s.Down() && !s.WantUp && s.Stamp != before.Stamp
		return ended || s.Up() && s.WantUp
	})
	switch {
	case ended:
		return false, fmt.Errorf("the gateway ended at once with exit code %d and stays down", now.ExitCode())
	case !up:
		return false, errors.Join(fmt.Errorf("the gateway is not up after %v", x.Wait), ctx.Err())
	}
	return true, nil
}

// bringDown stops the gateway of a slot and waits until it and its finish script
// are gone. A slot that nothing supervises is down.
func (x *execution) bringDown(ctx context.Context, op policy.Operation) (bool, error) {
	slotfd, before, err := x.openSupervised(op.Slot)
	if errors.Is(err, errNobody) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(slotfd)
	if before.Down() && !before.WantUp {
		return false, nil
	}
	if err := writeControl(slotfd, superviseControl, "d"); err != nil {
		return false, err
	}
	if !poll(ctx, x.Wait, func() bool { return isDown(slotfd) }) {
		return false, errors.Join(fmt.Errorf("the gateway is not down after %v", x.Wait), ctx.Err())
	}
	return true, nil
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
