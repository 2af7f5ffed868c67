package reconcile

import (
	"context"
	"errors"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// Unreachable is the volume when it cannot be reached: whatever needs it gets Err.
type Unreachable struct{ Err error }

// patience is how long a volume may keep a pass waiting beyond what the facts get. Each
// call adds callTime.
const (
	patience = 2 * time.Second
	callTime = 50 * time.Millisecond
)

var errSilent = errors.New("the volume did not answer in time, and is not asked again")

// A bounded is a volume that cannot keep a pass waiting, and with the pass the lock. The
// agent's user can stop the process for the volume at any moment.
type bounded struct {
	Volume
	left   time.Duration
	silent bool
}

// call calls f with a context that ends when the patience is over.
func (v *bounded) call(ctx context.Context, calls int, f func(context.Context) error) error {
	if v.silent {
		return errSilent
	}
	v.left += time.Duration(calls) * callTime
	begun := time.Now()
	limited, cancel := context.WithTimeout(ctx, v.left)
	defer cancel()
	err := f(limited)
	v.left -= time.Since(begun)
	v.silent = limited.Err() != nil
	return err
}

func (v *bounded) Execute(ctx context.Context, operations []policy.Operation, o policy.ExecuteOptions) (results []policy.Result) {
	err := v.call(ctx, len(operations), func(ctx context.Context) error {
		results = v.Volume.Execute(ctx, operations, o)
		return nil
	})
	if err != nil {
		return Unreachable{err}.Execute(ctx, operations, o)
	}
	return results
}

func (v *bounded) Change(ctx context.Context, c engine.Change) (done engine.Changed, err error) {
	err = v.call(ctx, 1, func(ctx context.Context) (err error) {
		done, err = v.Volume.Change(ctx, c)
		return err
	})
	return done, err
}

func (v *bounded) Runs(ctx context.Context, q ledger.Query) (runs ledger.Runs, err error) {
	err = v.call(ctx, 1, func(ctx context.Context) (err error) {
		runs, err = v.Volume.Runs(ctx, q)
		return err
	})
	return runs, err
}

func (v *bounded) AppendLog(ctx context.Context, name string, text []byte) error {
	return v.call(ctx, 1, func(ctx context.Context) error { return v.Volume.AppendLog(ctx, name, text) })
}

func (v Unreachable) Collect(context.Context, func(string, policy.Facts)) (policy.Facts, error) {
	return nil, v.Err
}

func (v Unreachable) Plan(context.Context, policy.Decisions, policy.PlanOptions) (policy.Plan, error) {
	return policy.Plan{}, nil
}

func (v Unreachable) Execute(_ context.Context, operations []policy.Operation, _ policy.ExecuteOptions) []policy.Result {
	var results []policy.Result
	for _, op := range operations {
		if op.Op == policy.OpSweep || op.Op == policy.OpSeed {
			results = append(results, policy.Result{Operation: op, Err: v.Err})
		}
	}
	return results
}

func (v Unreachable) Change(context.Context, engine.Change) (engine.Changed, error) {
	return engine.Changed{}, v.Err
}

func (v Unreachable) AppendLog(context.Context, string, []byte) error { return v.Err }

func (v Unreachable) Ledger(context.Context, string) ([]ledger.Line, error) { return nil, v.Err }

func (v Unreachable) Runs(context.Context, ledger.Query) (ledger.Runs, error) {
	return ledger.Runs{}, v.Err
}
