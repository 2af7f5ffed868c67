package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/volume"
	"hermes-reconcile/policy"
)

// The sizes in bytes at which logs are rotated. Upstream rotates its logs at the first.
// The ledger has longer lines; its limit keeps some thousands of them.
const (
	logLimit    = 256 << 10
	ledgerLimit = 4 << 20
)

// Local is a Volume whose work this process does itself.
type Local struct {
	settings Settings
	home     *volume.Home
}

// Open opens the volume. It ignores the User of the settings.
func Open(s Settings) (*Local, error) {
	home, err := volume.Open(s.Home)
	if err != nil {
		return nil, err
	}
	return &Local{settings: s, home: home}, nil
}

// Collect implements Volume.
func (v *Local) Collect(ctx context.Context, emit func(string, policy.Facts)) (policy.Facts, error) {
	ctx, cancel := context.WithTimeout(ctx, v.settings.Timeout)
	defer cancel()
	sources, profileSources := Sources(v.settings, v.home)
	collector := engine.Collector{Home: v.home, Sources: sources, ProfileSources: profileSources, SourceTimeout: v.settings.SourceTimeout}
	container := make(chan policy.Facts, 1)
	go func() { container <- collector.Container(ctx) }()
	err := collector.Profiles(ctx, emit)
	return <-container, err
}

// Execute implements Volume.
func (v *Local) Execute(ctx context.Context, operations []policy.Operation, o policy.ExecuteOptions) []policy.Result {
	return (&volume.Executor{Home: v.home, Live: v.settings.Phase == policy.PhaseApply}).Execute(ctx, operations, o)
}

// Change implements Volume.
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

// AppendLog implements Volume.
func (v *Local) AppendLog(_ context.Context, name string, text []byte) error {
	limit := int64(logLimit)
	if strings.HasSuffix(name, ".jsonl") {
		limit = ledgerLimit
	}
	return v.home.AppendLog(name, text, limit)
}

// Ledger implements Volume.
func (v *Local) Ledger(_ context.Context, profile string) ([]ledger.Line, error) {
	return ledger.Read(v.home.Root(), profile)
}

// Runs implements Volume.
func (v *Local) Runs(ctx context.Context, q ledger.Query) (ledger.Runs, error) {
	runs := ledger.ReadRuns(v.home.Root(), q)
	profiles, err := v.home.Profiles(ctx)
	for _, p := range profiles {
		runs.Names = append(runs.Names, p.Name)
	}
	slices.Sort(runs.Names)
	runs.Names = slices.Compact(runs.Names)
	return runs, err
}

// Close implements Volume.
func (v *Local) Close() { v.home.Close() }
