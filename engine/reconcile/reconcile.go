// Package reconcile is the pass, written once:
//
//	collect -> decide -> plan -> execute -> record
//
// Every command is this pass with other options: boot and apply for all profiles, start
// and stop for some that an operator names, eval up to the decisions or the plan. The
// package joins interfaces; it knows no rule language, no supervisor and no flags.
package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// A Volume does the work on the volume. A pass on a running container has the lock while it
// calls the volume, so the volume bounds the time of all calls together.
type Volume interface {
	// Collect returns the facts about the container that are on the volume, and calls
	// emit with the facts of each profile, one call at a time. With an error it has
	// called emit for the profiles that it got to.
	Collect(ctx context.Context, emit func(profile string, facts policy.Facts)) (policy.Facts, error)
	// Execute carries out the sweeps and seeds among the operations and returns a result for
	// each of them, in order; see Slots.Execute.
	Execute(ctx context.Context, operations []policy.Operation, o policy.ExecuteOptions) []policy.Result
	// Change reads or writes what a life cycle command needs of a profile. The error
	// wraps fs.ErrNotExist when there is no such profile.
	Change(ctx context.Context, c engine.Change) (engine.Changed, error)
	// AppendLog appends text to logs/<name> in the home.
	AppendLog(ctx context.Context, name string, text []byte) error
	// Runs returns what the ledger has of the newest runs.
	Runs(ctx context.Context, q ledger.Query) (ledger.Runs, error)
}

// Slots is the executor of the scan directory.
type Slots interface {
	// Plan compares the decisions with what exists and returns the operations that
	// make it so, in the order in which they have to be carried out. It changes
	// nothing. When everything is right already, there are no operations.
	Plan(ctx context.Context, d policy.Decisions, o policy.PlanOptions) (policy.Plan, error)
	// Execute carries out the operations that are its own and returns a result
	// for each of them, in order. An operation that fails does not stop the
	// others. Execute can be interrupted at any moment; the next plan and Execute
	// repair what it left.
	Execute(ctx context.Context, operations []policy.Operation, o policy.ExecuteOptions) []policy.Result
	// Lock keeps other passes out until unlock. The error of a user who may only
	// control slots wraps fs.ErrPermission.
	Lock(ctx context.Context) (unlock func(), err error)
	// Slots looks at the scan directory.
	Slots(ctx context.Context) policy.Slots
	// Missing names the profiles that are decided to have a slot and have none.
	Missing(d policy.Decisions, p policy.Plan) []string
}

// Rules gives the rules, compiled. It keeps to the time that ctx has left, and leaves some of
// it to the pass.
type Rules interface {
	// Load compiles the present rules. Its error is a mistake in them, or that they are gone.
	Load(ctx context.Context) (engine.Evaluator, error)
	// LoadOrFallBack compiles the present rules, of which single packages may fail. If they
	// are gone or cannot be read, it compiles the last good copy of them, else the built-in
	// rules with a failure for the others; Status says which. Its error is that none can be
	// used.
	LoadOrFallBack(ctx context.Context) (engine.Evaluator, error)
	// Mended returns rules in which the last good copy decides for packages that broke, by
	// their names. They are nil when the copy has none of them. The error is about the copy.
	Mended(ctx context.Context, rules engine.Evaluator, broken []string) (engine.Evaluator, error)
	// Keep saves the rules as the last good ones.
	Keep(ctx context.Context, e engine.Evaluator) error
}

// A World is all that a pass acts on.
type World struct {
	Volume  Volume
	Slots   Slots
	Rules   Rules
	ScanDir string
	// Sources find out facts about the container that are not on the volume.
	Sources []fact.Source
	// External adds what the operator's plug-ins know about the container and the profiles of
	// an input document. It keeps to a time limit of its own.
	External      func(context.Context, *policy.Input)
	SourceTimeout time.Duration // for each source
	OnRuleError   engine.OnRuleError
	// KeepOverrides adds to the holds that an operator has set aside, and returns the fact
	// "overrides" as it is then. A dry run keeps nothing.
	KeepOverrides func(more []policy.Override, dryRun bool) (json.RawMessage, error)
	// KeepPauses changes the pauses, and returns the fact "pauses" as it is then. A dry run keeps
	// nothing.
	KeepPauses func(change func(*policy.Pauses), dryRun bool) (json.RawMessage, error)
	// Poke asks the watch of the scan directory for a look and waits for its end. It is for
	// users who may only control slots. Its error is that no watch answers.
	Poke func(context.Context) error
	// LogDecisions tells others what a pass over all profiles has decided; nil: nobody asks.
	LogDecisions func(context.Context, ledger.Pass, engine.Evaluator)
	// Alarms are about what the pass was given and does not use.
	Alarms []policy.Alarm
	Log    *slog.Logger // of problems and alarms, as they come
}

// An Extent is how far a pass goes.
type Extent int

// The extents.
const (
	ToFacts     Extent = iota // collect
	ToDecisions               // and decide
	ToPlan                    // and plan
	ToEnd                     // and execute and record
)

// Options choose what a pass does.
type Options struct {
	Phase   string   // policy.PhaseBoot or policy.PhaseApply
	Command string   // what the ledger says of it; empty at a boot
	Cause   []string // the triggers of a pass of the watch, for the ledger
	Errors  []string // what went wrong before the pass, for the ledger
	Extent  Extent
	// Input, when set, is decided on instead of facts that are collected.
	Input *policy.Input
	// At, when set, is what input.now says instead of the time of the pass.
	At time.Time
	// FallBack decides with other rules where the operator's cannot be used or break.
	// Without it such rules end the pass with a RulesError.
	FallBack bool
	Request  Request
	Rescan   bool // see policy.PlanOptions
	// RestartChanged: see policy.PlanOptions.
	RestartChanged bool
	Diff           bool // see policy.PlanOptions
	// KeepRules saves the rules as the last good ones, as a boot does.
	KeepRules bool
	// Amend may take operations out of the plan, and add alarms, before anything is done.
	Amend   func(*Report)
	Execute policy.ExecuteOptions
}

// A RulesError is a mistake in the rules, which ends a pass before anything is touched.
type RulesError struct{ Err error }

func (e *RulesError) Error() string { return fmt.Sprintf("these rules cannot be used:\n%v", e.Err) }
func (e *RulesError) Unwrap() error { return e.Err }

// A pass is one run of Pass.
type pass struct {
	World
	Options
	report    Report
	evaluator engine.Evaluator
	unlock    func() // ends the lock that keeps other passes out; nil: there is none
	refused   error  // why this user may not lock, and so may only control slots
}

// Pass collects, decides, plans, executes and records, as far as the options say. Its
// error means that nothing was touched; all that goes wrong later is in the report.
// Passes that change something exclude each other by the lock of the scan directory,
// which is taken before the first look.
func Pass(ctx context.Context, w World, o Options) (Report, error) {
	p := &pass{World: w, Options: o, report: newReport(o)}
	defer p.letOthersIn()
	if o.Extent == ToEnd && p.hasScanDir() {
		if err := p.lock(ctx); err != nil && o.Phase != policy.PhaseBoot {
			return p.report, err
		}
	}
	err := p.run(ctx)
	return p.report, err
}

// hasScanDir reports whether there is a scan directory to lock. To lock it makes it, and a
// container that supervises nothing gets none.
func (p *pass) hasScanDir() bool {
	_, err := os.Stat(p.ScanDir)
	return !errors.Is(err, fs.ErrNotExist)
}

// lock keeps other passes out. A user who may only control slots goes on without.
func (p *pass) lock(ctx context.Context) error {
	if p.unlock != nil || p.refused != nil {
		return nil
	}
	unlock, err := p.Slots.Lock(ctx)
	if errors.Is(err, fs.ErrPermission) {
		p.refused = err
		if p.Request.Kind == Converge || p.Request.Kind == Register {
			p.askWatch(ctx)
		}
		return nil
	}
	if err == nil {
		p.unlock = unlock
	}
	return err
}

// askWatch has the watch make and remove slots for a user who may not. Without a watch the
// slots stay as they are, and whatever lacks one is refused.
func (p *pass) askWatch(ctx context.Context) {
	if p.Poke == nil || p.Extent != ToEnd {
		return
	}
	if err := p.Poke(ctx); err != nil {
		p.refused = fmt.Errorf("%w; no watch does it instead: %w", p.refused, err)
	}
}

// letOthersIn ends the lock, for a pass that changes no slot any more.
func (p *pass) letOthersIn() {
	if p.unlock != nil {
		p.unlock()
		p.unlock = nil
	}
}

func (p *pass) run(ctx context.Context) error {
	switch p.Request.Kind {
	case Converge:
		return p.converge(ctx)
	case Stop, Unregister: // a stop works without the rules
		return p.lower(ctx)
	}
	return p.raise(ctx)
}

// isDry reports whether the pass must not change anything, also not what it would decide on.
func (p *pass) isDry() bool { return p.Extent != ToEnd }

// rounds bounds how often a pass begins again because an intent changed meanwhile.
const rounds = 10

// converge makes all profiles, or those that are named, what the rules say. It begins
// again when a command that takes no lock, such as upstream's own, changed an intent
// meanwhile.
func (p *pass) converge(ctx context.Context) error {
	for range rounds {
		errs := len(p.report.Errors)
		if err := p.collectAndLoad(ctx); err != nil || p.Extent == ToFacts {
			return err
		}
		if p.evaluator == nil {
			p.record(ctx)
			return nil
		}
		p.decide(ctx, nil)
		if err := p.restrict(p.Request.Profiles); err != nil || p.Extent == ToDecisions {
			return err
		}
		p.plan(ctx, p.planOptions())
		if p.Extent == ToPlan {
			return nil
		}
		if p.Amend != nil {
			p.Amend(&p.report)
		}
		p.announce()
		from := len(p.report.Results)
		p.execute(ctx, p.report.Plan.Operations)
		if p.Phase == policy.PhaseBoot || !p.overtaken(ctx, p.report.Results[from:]) {
			return p.finish(ctx)
		}
		// Whatever failed in this round failed against somebody who wanted something else.
		p.report.Errors, p.report.RulesFailed = p.report.Errors[:errs], false
	}
	p.problem("", errors.New("intents changed again and again while this ran; apply once more"))
	return p.finish(ctx)
}

// finish turns decisions without a slot into what happened, looks at the slots again, and
// records the pass.
func (p *pass) finish(ctx context.Context) error {
	if p.Phase == policy.PhaseBoot {
		p.missing()
	} else {
		p.observe(ctx)
	}
	p.record(ctx)
	p.keepRules(ctx)
	return nil
}
