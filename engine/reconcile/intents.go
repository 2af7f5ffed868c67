package reconcile

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
)

// A note is what became of writing down what an operator wants of a profile.
type note struct {
	name   string
	intent engine.Changed
	err    error // of the intent
	marker error // of the planned-stop marker
}

// takeNotes writes down what an operator wants of the profiles: the intent, and for those
// whose gateways are up in slots the planned-stop marker. Without the marker a gateway takes
// the signal for a stop of the container. A dry run only finds out what would change.
func (p *pass) takeNotes(ctx context.Context, names []string, intent string, slots map[string]policy.Slot) []note {
	var notes []note
	for _, name := range names {
		n := note{name: name}
		if p.isDry() {
			n.intent, n.err = p.Volume.Change(ctx, engine.Change{Kind: engine.ReadIntent, Profile: name})
			n.intent.Changed = n.intent.Intent != intent
			notes = append(notes, n)
			continue
		}
		n.intent, n.err = p.Volume.Change(ctx, engine.Change{Kind: engine.WriteIntent, Profile: name, Intent: intent})
		if slot := slots[name]; slot.Up {
			_, n.marker = p.Volume.Change(ctx, engine.Change{Kind: engine.PlannedStop, Profile: name, PID: slot.PID, StartTime: slot.StartTime})
		}
		notes = append(notes, n)
	}
	return notes
}

// noted reports what became of the notes, and returns the profiles whose intent is written. A
// state file that cannot be written does not keep a gateway from being started or stopped; it
// is an error because the next boot will not know.
func (p *pass) noted(intent string, notes []note) (recorded []string) {
	for _, n := range notes {
		switch {
		case errors.Is(n.err, fs.ErrNotExist) && intent == engine.IntentStopped: // a slot whose profile is gone
		case n.err != nil:
			p.problem(n.name, fmt.Errorf("the intent %q cannot be recorded, and the next boot will not know it: %w", intent, n.err))
		default:
			recorded = append(recorded, n.name)
		}
		if n.err == nil && n.intent.Changed {
			p.report.Profiles[n.name].Recorded = true
			if p.isDry() {
				p.report.note(n.name, fmt.Sprintf("the intent %q would be recorded", intent))
			}
		}
		if n.marker != nil && !errors.Is(n.marker, fs.ErrNotExist) {
			p.problem(n.name, fmt.Errorf("the planned-stop marker: %w", n.marker))
		}
	}
	return recorded
}

// intentOf reads what the operator wants now.
func (p *pass) intentOf(ctx context.Context, name string) (string, error) {
	done, err := p.Volume.Change(ctx, engine.Change{Kind: engine.ReadIntent, Profile: name})
	return done.Intent, err
}

// overtaken reports whether the intent of a profile that was started or stopped is
// another one now.
func (p *pass) overtaken(ctx context.Context, results []policy.Result) bool {
	seen := map[string]bool{}
	for _, result := range results {
		op := result.Operation
		if op.Op != policy.OpBringUp && op.Op != policy.OpBringDown || seen[op.Profile] {
			continue
		}
		seen[op.Profile] = true
		now, err := p.intentOf(ctx, op.Profile)
		if err == nil && now != policy.DesiredState(p.report.Input.Profiles[op.Profile]) {
			return true
		}
	}
	return false
}

// follow makes up for another command that recorded another intent while this one started
// or stopped: the last recorded intent wins, and an error that came before it is none.
// Users who can take the lock never meet here.
func (p *pass) follow(ctx context.Context, names []string, intent string) {
	for _, name := range names {
		wanted := intent
		for round := range rounds {
			now, err := p.intentOf(ctx, name)
			if err != nil || now != engine.IntentRunning && now != engine.IntentStopped {
				break
			}
			if now == wanted && (round > 0 || !p.stoppedMeanwhile(ctx, name, wanted)) {
				break
			}
			if _, exists := p.Slots.Slots(ctx).ByProfile()[name]; !exists {
				break // it was removed, and whoever makes it again looks at the intent
			}
			op := policy.Operation{Op: policy.OpBringDown, Profile: name, Slot: policy.SlotName(name), Cause: "another command recorded that it is to be stopped"}
			if now == engine.IntentRunning {
				op.Op, op.Cause = policy.OpBringUp, "it was stopped, and it is recorded that it is to run"
			}
			if now != wanted {
				p.report.note(name, fmt.Sprintf("another command recorded %q meanwhile", now))
			}
			wanted = now
			p.report.Profiles[name].Errors = nil
			p.execute(ctx, []policy.Operation{op})
		}
	}
}

// stoppedMeanwhile reports whether a gateway that was started ended as one does that is
// stopped. Upstream's stop records first and stops then, so its intent may be overwritten
// in between and its control command come last.
func (p *pass) stoppedMeanwhile(ctx context.Context, name, intent string) bool {
	errs := p.report.Profiles[name].Errors
	notFromStart := func(text string) bool { return !strings.HasPrefix(text, string(policy.OpBringUp)+" ") }
	if intent != engine.IntentRunning || len(errs) == 0 || slices.ContainsFunc(errs, notFromStart) {
		return false
	}
	slot := p.Slots.Slots(ctx).ByProfile()[name]
	return !slot.Up && (slot.Signal == int(syscall.SIGTERM) || slot.ExitCode != nil && *slot.ExitCode == 0)
}
