package side

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"hermes-reconcile/policy"
)

// A ChangeKind is something that a life cycle command reads or writes of a profile.
type ChangeKind string

const (
	ReadIntent  ChangeKind = "read-intent"
	WriteIntent ChangeKind = "write-intent"
	PlannedStop ChangeKind = "planned-stop"
	WriteHold   ChangeKind = "write-hold"
	RemoveHold  ChangeKind = "remove-hold"
)

// A Change asks for one of them.
type Change struct {
	Kind      ChangeKind
	Profile   string
	Intent    string              `json:",omitempty"` // write-intent: running or stopped
	PID       int                 `json:",omitempty"` // planned-stop: of the gateway
	StartTime int64               `json:",omitempty"` // planned-stop: of that process, in clock ticks
	Hold      *policy.RestartHold `json:",omitempty"` // write-hold
}

// A Changed is the answer.
type Changed struct {
	Intent  string `json:",omitempty"` // read-intent: "" where there is none
	Changed bool   `json:",omitempty"` // something was written or removed
	Missing bool   `json:",omitempty"` // the error is that there is no such profile
}

func (v *Local) Change(ctx context.Context, c Change) (done Changed, err error) {
	switch c.Kind {
	case ReadIntent:
		done.Intent, _, err = v.home.Intent(ctx, c.Profile)
	case WriteIntent:
		done.Changed, err = v.home.SetIntent(ctx, c.Profile, c.Intent)
	case PlannedStop:
		err = v.home.MarkPlannedStop(ctx, c.Profile, c.PID, c.StartTime, os.Getppid(), time.Now())
		done.Changed = err == nil
	case WriteHold:
		if c.Hold == nil {
			return done, errors.New("there is no hold to write")
		}
		err = v.home.WriteHold(ctx, c.Profile, *c.Hold)
		done.Changed = err == nil
	case RemoveHold:
		done.Changed, err = v.home.RemoveHold(ctx, c.Profile)
	default:
		err = fmt.Errorf("unknown change %q", c.Kind)
	}
	done.Missing = errors.Is(err, fs.ErrNotExist)
	return done, err
}

func (v *Child) Change(ctx context.Context, c Change) (done Changed, err error) {
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
