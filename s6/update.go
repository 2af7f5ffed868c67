package s6

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/s6/deaths"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/scripts"
	"hermes-reconcile/s6/supervise"
)

// update replaces files of a slot, each by one rename, so neither s6-supervise nor a
// shell ever sees a part of one. run, finish and log/run take effect at their next
// start; update stops nothing. It makes the directory data, which upstream's slots lack,
// and never adds a logger to a supervised slot. Before that it takes back the parts that
// are not root's alone.
func (x *execution) update(ctx context.Context, slot beneath.Dir, op policy.Operation) error {
	if err := x.takeBack(ctx, slot, x.partsNow(slot, op.Slot, op.Held), op.Files); err != nil {
		return err
	}
	files, err := filesOf(x.render, op)
	if err != nil {
		return err
	}
	if slices.Contains(op.Files, scripts.MarkerName) {
		if err := slot.Mkdir(path.Dir(scripts.MarkerName), 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	for _, f := range files {
		if !slices.Contains(op.Files, f.Name) {
			continue
		}
		if f.Name == "run" {
			if err := x.replace(slot, beneath.File{Name: scripts.ChangedName, Mode: 0o644}); err != nil {
				return err
			}
		}
		if err := x.replace(slot, f); err != nil {
			return err
		}
	}
	return nil
}

// setDown makes or removes the down file; done is false when it is as wanted.
// s6-supervise reads it when it starts, so a gateway goes on until it is stopped. When
// this user may not change the file, the supervisor does, unless its command would also
// start or stop the gateway.
func (x *execution) setDown(ctx context.Context, slot beneath.Dir, down bool) (done bool, err error) {
	command := "U"
	if down {
		command = "D"
		err = slot.Create(scandir.DownFile)
	} else if err = slot.Remove(scandir.DownName); err != nil {
		err = fmt.Errorf("remove %s: %w", scandir.DownName, err)
	}
	switch {
	case down && errors.Is(err, unix.EEXIST), !down && errors.Is(err, unix.ENOENT):
		return false, nil
	case !beneath.IsForbidden(err):
		return err == nil, err
	}
	forbidden := err
	if runs, _, err := supervise.Service.Runs(slot); err == nil && !runs {
		forbidden = fmt.Errorf("%w; s6-svscan has not given it a supervisor yet, and until then only root can change it", forbidden)
	}
	if s, ok := supervise.ReadStatus(slot); !ok || s.WantUp == down {
		return false, forbidden
	}
	err = x.ask(ctx, supervise.Service, slot, command)
	if errors.Is(err, supervise.ErrNobody) {
		return false, forbidden
	}
	if err != nil {
		return false, err
	}
	changed := poll(ctx, x.Wait, func() bool {
		exists, err := slot.Exists(scandir.DownName)
		return err == nil && exists == down
	})
	if !changed {
		return false, errors.Join(fmt.Errorf("its supervisor has not changed the file %s after %v", scandir.DownName, x.Wait), ctx.Err())
	}
	return true, nil
}

// prepareStart forgets the deaths that were counted, and sets the pause that the
// rules want now. Both need ownership of the slot; without it the start goes ahead.
func (x *execution) prepareStart(t *transition) error {
	ignore := func(err error) bool { return err == nil || beneath.IsAbsent(err) || beneath.IsForbidden(err) }
	if err := t.slot.Remove(deaths.TallyName); !ignore(err) {
		return fmt.Errorf("remove %s: %w", deaths.TallyName, err)
	}
	var err error
	if pause, ok := scripts.Pause(t.result.Operation.DelaySeconds); ok {
		err = x.replace(t.slot, pause)
	} else {
		err = t.slot.Remove(scripts.PauseName)
	}
	if !ignore(err) {
		return fmt.Errorf("set %s: %w", scripts.PauseName, err)
	}
	return nil
}
