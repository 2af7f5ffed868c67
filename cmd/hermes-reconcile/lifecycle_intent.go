package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
	"hermes-reconcile/s6"
)

// The intents, as upstream records them in gateway_state.json.
const (
	intentRunning = "running"
	intentStopped = "stopped"
)

// recordIntents writes down what the operator wants. A state file that cannot be
// written does not keep a gateway from being started or stopped; the next boot would
// not know of it, and so it is an error all the same. It returns those that have the
// intent now.
func (r *liveRun) recordIntents(ctx context.Context, names []string, intent string) (recorded []string) {
	for _, name := range names {
		done, err := r.side.Change(ctx, engine.Change{Kind: engine.WriteIntent, Profile: name, Intent: intent})
		switch {
		case errors.Is(err, fs.ErrNotExist) && intent == intentStopped:
			continue // a slot whose profile is gone
		case err != nil:
			r.report.fail(name, fmt.Errorf("the intent %q cannot be recorded, and the next boot will not know it: %w", intent, err))
			continue
		case done.Changed:
			p := r.report.Profiles[name]
			p.Recorded = true
			r.report.Profiles[name] = p
		}
		recorded = append(recorded, name)
	}
	return recorded
}

// follow makes up for another command that recorded another intent while this one
// started or stopped: whoever records last is right, and what had failed by then is no
// failure. Those who can take the lock never meet here.
func (r *liveRun) follow(ctx context.Context, names []string, intent string) {
	for _, name := range names {
		wanted := intent
		for round := range rounds {
			now, err := r.side.Change(ctx, engine.Change{Kind: engine.ReadIntent, Profile: name})
			if err != nil || now.Intent != intentRunning && now.Intent != intentStopped {
				break
			}
			if now.Intent == wanted && (round > 0 || !r.stoppedMeanwhile(ctx, name, wanted)) {
				break
			}
			if _, there := r.slots(ctx).profiles[name]; !there {
				break // somebody removed it, and who makes it anew looks at the intent
			}
			op := policy.Operation{Op: policy.OpBringDown, Profile: name, Slot: s6.SlotName(name), Cause: "somebody recorded that it is to be stopped"}
			if now.Intent == intentRunning {
				op.Op, op.Cause = policy.OpBringUp, "somebody stopped it, and it is recorded that it is to run"
			}
			if now.Intent != wanted {
				r.note(name, fmt.Sprintf("somebody recorded %q meanwhile", now.Intent))
			}
			wanted = now.Intent
			r.report.forget(name)
			r.execute(ctx, []policy.Operation{op})
		}
	}
}

// stoppedMeanwhile says that a gateway which was started ended as one does that somebody
// stops. Upstream's stop records first and stops then, so that its intent may be
// overwritten in between and its letter come last.
func (r *liveRun) stoppedMeanwhile(ctx context.Context, name, intent string) bool {
	errs := r.report.Profiles[name].Errors
	if intent != intentRunning || len(errs) == 0 || slices.ContainsFunc(errs, func(text string) bool { return !strings.HasPrefix(text, "bring-up ") }) {
		return false
	}
	slot := r.slots(ctx).profiles[name]
	return !slot.Up && (slot.Signal == int(syscall.SIGTERM) || slot.ExitCode != nil && *slot.ExitCode == 0)
}
