package cli

import (
	"context"
	"errors"
	"log/slog"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/rego"
)

// Pass runs a pass that only looks, within the deadline, on the world of a configuration.
// Rules are nil for those of the configuration.
func Pass(ctx context.Context, c config.Config, rules reconcile.Rules, log *slog.Logger, o reconcile.Options) (reconcile.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Boot.Deadline)
	defer cancel()
	world.AsUpstream(&c, log)
	w, closeWorld, err := world.New(c, o.Phase, log, world.NoLog)
	if err != nil {
		return reconcile.Report{}, err
	}
	defer closeWorld()
	if rules != nil {
		w.Rules = rules
	}
	r, err := reconcile.Pass(ctx, w, o)
	return r, PassError(err)
}

// PassError gives the error of a pass its exit status.
func PassError(err error) error {
	switch {
	case err == nil:
		return nil
	case isA[*reconcile.RulesError](err):
		return Exit(ExitPolicy, err)
	case isA[*engine.UnknownProfile](err):
		return Exit(ExitUsage, err)
	}
	return Exit(ExitProfile, err)
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// LoadPolicy compiles the present rules in this process, for a command that shows them.
func LoadPolicy(c config.Config) (*rego.Evaluator, error) {
	e, err := rego.Load(world.Layers(c), world.PolicyOptions(c))
	if err != nil {
		return nil, PassError(&reconcile.RulesError{Err: err})
	}
	return e, nil
}
