package main

import (
	"context"
	"errors"
	"log/slog"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/reconcile"
)

// pass runs a pass that only looks, within the deadline, on the world of a configuration.
// Rules are nil for those of the configuration.
func pass(ctx context.Context, c config.Config, rules reconcile.Rules, log *slog.Logger, o reconcile.Options) (reconcile.Report, error) {
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
	return r, passError(err)
}

// passError gives the error of a pass its exit status.
func passError(err error) error {
	switch {
	case err == nil:
		return nil
	case isA[*reconcile.RulesError](err):
		return &exitError{exitPolicy, err}
	case isA[*engine.UnknownProfile](err):
		return &exitError{exitUsage, err}
	}
	return &exitError{exitProfile, err}
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
