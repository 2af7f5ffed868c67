package reconcile

import (
	"context"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// Unreachable is the volume when it cannot be reached: whatever needs it gets Err.
type Unreachable struct{ Err error }

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

func (v Unreachable) Runs(context.Context, ledger.Query) (ledger.Runs, error) {
	return ledger.Runs{}, v.Err
}
