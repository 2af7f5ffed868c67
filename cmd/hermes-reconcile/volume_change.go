package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"hermes-reconcile/policy"
)

// A changeKind is something that a life cycle command reads or writes of a profile.
type changeKind string

const (
	readIntent  changeKind = "read-intent"
	writeIntent changeKind = "write-intent"
	plannedStop changeKind = "planned-stop"
	writeHold   changeKind = "write-hold"
	removeHold  changeKind = "remove-hold"
)

// A volumeChange asks for one of them.
type volumeChange struct {
	Kind      changeKind
	Profile   string
	Intent    string              `json:",omitempty"` // write-intent: running or stopped
	PID       int                 `json:",omitempty"` // planned-stop: of the gateway
	StartTime int64               `json:",omitempty"` // planned-stop: of that process, in clock ticks
	Hold      *policy.RestartHold `json:",omitempty"` // write-hold
}

// A volumeChanged is the answer.
type volumeChanged struct {
	Intent  string `json:",omitempty"` // read-intent: "" where there is none
	Changed bool   `json:",omitempty"` // something was written or removed
	Missing bool   `json:",omitempty"` // the error is that there is no such profile
}

func (v *localVolume) Change(ctx context.Context, c volumeChange) (done volumeChanged, err error) {
	switch c.Kind {
	case readIntent:
		done.Intent, _, err = v.home.Intent(ctx, c.Profile)
	case writeIntent:
		done.Changed, err = v.home.SetIntent(ctx, c.Profile, c.Intent)
	case plannedStop:
		err = v.home.MarkPlannedStop(ctx, c.Profile, c.PID, c.StartTime, os.Getppid(), time.Now())
		done.Changed = err == nil
	case writeHold:
		if c.Hold == nil {
			return done, errors.New("there is no hold to write")
		}
		err = v.home.WriteHold(ctx, c.Profile, *c.Hold)
		done.Changed = err == nil
	case removeHold:
		done.Changed, err = v.home.RemoveHold(ctx, c.Profile)
	default:
		err = fmt.Errorf("unknown change %q", c.Kind)
	}
	done.Missing = errors.Is(err, fs.ErrNotExist)
	return done, err
}

func (v *childVolume) Change(ctx context.Context, c volumeChange) (done volumeChanged, err error) {
	err = v.ask(ctx, volumeRequest{Change: &c}, func(a volumeAnswer) {
		if a.Changed != nil {
			done = *a.Changed
		}
	})
	if err != nil && done.Missing {
		err = fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	}
	return done, err
}

func (v unreachableVolume) Change(context.Context, volumeChange) (volumeChanged, error) {
	return volumeChanged{}, v.err
}

func (v unreachableVolume) Execute(_ context.Context, operations []policy.Operation) []policy.Result {
	var results []policy.Result
	for _, op := range operations {
		if op.Op == policy.OpSweep || op.Op == policy.OpSeed {
			results = append(results, policy.Result{Operation: op, Err: v.err})
		}
	}
	return results
}

func (v unreachableVolume) AppendLog(context.Context, string, []byte) error { return v.err }
