package workbench

import (
	"context"
	"io"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

func Trace(ctx context.Context, e *rego.Evaluator, rules []string, in policy.Input, profile string, w io.Writer) error {
	return e.Trace(ctx, rules, in, profile, w)
}
