package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"hermes-reconcile/engine"
)

func (v *Local) Change(ctx context.Context, c engine.Change) (done engine.Changed, err error) {
	switch c.Kind {
	case engine.ReadIntent:
		done.Intent, _, err = v.home.Intent(ctx, c.Profile)
	case engine.WriteIntent:
		done.Changed, err = v.home.SetIntent(ctx, c.Profile, c.Intent)
	case engine.PlannedStop:
		err = v.home.MarkPlannedStop(ctx, c.Profile, c.PID, c.StartTime, os.Getppid(), time.Now())
		done.Changed = err == nil
	case engine.WriteHold:
		if c.Hold == nil {
			return done, errors.New("there is no hold to write")
		}
		err = v.home.WriteHold(ctx, c.Profile, *c.Hold)
		done.Changed = err == nil
	case engine.RemoveHold:
		done.Changed, err = v.home.RemoveHold(ctx, c.Profile)
	default:
		err = fmt.Errorf("unknown change %q", c.Kind)
	}
	done.Missing = errors.Is(err, fs.ErrNotExist)
	return done, err
}

func (v *Child) Change(ctx context.Context, c engine.Change) (done engine.Changed, err error) {
	err = v.ask(ctx, request{Change: &c}, func(a answer, _ []attachment) error {
		if a.Changed != nil {
			done = *a.Changed
		}
		return nil
	})
	if err != nil && done.Missing {
		err = fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	}
	return done, err
}
