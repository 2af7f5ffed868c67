package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/rego"
)

// Look runs a pass that only looks, within the deadline, on the world of a configuration. Then it
// calls use, which can ask the volume for more. Rules are nil for those of the configuration.
func Look(cmd *cobra.Command, c config.Config, rules reconcile.Rules, o reconcile.Options, use func(context.Context, reconcile.World, reconcile.Report) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), c.Boot.Deadline)
	defer cancel()
	log := Log(cmd, c)
	world.AsUpstream(&c, log)
	w, closeWorld, err := world.New(c, o.Phase, log, world.NoLog)
	if err != nil {
		return err
	}
	defer closeWorld()
	if rules != nil {
		w.Rules = rules
	}
	r, err := reconcile.Pass(ctx, w, o)
	if err != nil {
		return PassError(err)
	}
	return use(ctx, w, r)
}

// Pass is Look for a command that only needs the report.
func Pass(cmd *cobra.Command, c config.Config, rules reconcile.Rules, o reconcile.Options) (report reconcile.Report, err error) {
	err = Look(cmd, c, rules, o, func(_ context.Context, _ reconcile.World, r reconcile.Report) error {
		report = r
		return nil
	})
	return report, err
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
