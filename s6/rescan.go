package s6

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// settle is how long s6-svscan gets to notice that a slot is away. Nothing shows that
// a scan is over.
const settle = 300 * time.Millisecond

// rescan asks s6-svscan for a scan and waits until every slot of ours is supervised.
// From s6 2.12 on, an aborted scan forgets the slots that it has met: later scans do
// not start them. Such slots are taken away and brought back once (seen to work with
// 2.13 and 2.15). The error names the slots that stay without a supervisor.
func (x *execution) rescan(ctx context.Context, _ policy.Operation) (bool, error) {
	err := x.askSvscan(ctx, "a")
	if errors.Is(err, errNobody) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask s6-svscan for a scan: %w", err)
	}
	waiting, err := x.ownSlots()
	if err != nil {
		return false, err
	}
	supervised := func() bool {
		waiting = x.unsupervised(waiting)
		return len(waiting) == 0
	}
	if !poll(ctx, x.Wait/2, supervised) && ctx.Err() == nil {
		x.Log.Warn("slots are forgotten by s6-svscan, taken away and brought back", "slots", len(waiting))
		if err := x.takeAwayAndBack(ctx, waiting); err != nil {
			return false, err
		}
		poll(ctx, x.Wait/2, supervised)
	}
	if len(waiting) > 0 {
		err := fmt.Errorf("not supervised after %v: %s", x.Wait, fewOf(waiting))
		return false, errors.Join(err, ctx.Err())
	}
	return true, nil
}

// ownSlots lists the slots of ours, by name.
func (x *execution) ownSlots() ([]string, error) {
	dir, err := x.scan.root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("read the scan directory: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read the scan directory: %w", err)
	}
	slices.Sort(names)
	return slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasPrefix(name, slotPrefix) || !x.scan.isOurs(name)
	}), nil
}

// unsupervised returns the slots that have no supervisor yet. A slot that was removed
// meanwhile is not one of them.
func (x *execution) unsupervised(slots []string) []string {
	var without []string
	for _, slot := range slots {
		fd, err := openDirectory(x.scan.fd, slot)
		if err != nil {
			continue
		}
		held, err := supervisionOf(fd)
		_ = unix.Close(fd)
		if err != nil || !held.Service || !held.Logger {
			without = append(without, slot)
		}
	}
	return without
}

// takeAwayAndBack renames slots to staging names, asks for a scan, renames them
// back and asks again. A slot of which only the service or only the logger is
// supervised stays in place. After an interruption the slot is missing, and the next
// run removes the leftover and makes the slot.
func (x *execution) takeAwayAndBack(ctx context.Context, slots []string) error {
	away := map[string]string{}
	for _, slot := range slots {
		fd, err := openDirectory(x.scan.fd, slot)
		if err != nil {
			continue
		}
		err = mustBeFree(fd)
		_ = unix.Close(fd)
		if err != nil {
			continue
		}
		name := x.stagingName()
		if unix.Renameat2(x.scan.fd, slot, x.scan.fd, name, unix.RENAME_NOREPLACE) == nil {
			away[name] = slot
		}
	}
	err := writeControl(x.scan.fd, svscanControl, "a")
	select {
	case <-time.After(settle):
	case <-ctx.Done():
	}
	for name, slot := range away {
		if e := unix.Renameat2(x.scan.fd, name, x.scan.fd, slot, unix.RENAME_NOREPLACE); e != nil {
			err = errors.Join(err, fmt.Errorf("bring %s back: %w", slot, e))
		}
	}
	return errors.Join(err, writeControl(x.scan.fd, svscanControl, "a"))
}

// fewOf lists the first names and how many more there are.
func fewOf(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}
