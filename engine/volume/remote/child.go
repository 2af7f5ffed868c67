package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/volume"
	"hermes-reconcile/policy"
)

// Child is a Volume whose work a child process does. It answers one call at a time.
type Child struct {
	pipes    io.ReadWriteCloser // Close ends the child
	stream   *stream
	settings Settings
}

// Start starts the child and sends it its settings.
func Start(s Settings) (*Child, error) {
	v, err := Spawn()
	if err != nil {
		return nil, err
	}
	return v, v.Configure(s)
}

// Spawn starts the child. It waits for its settings.
func Spawn() (*Child, error) {
	process, err := startProcess()
	if err != nil {
		return nil, fmt.Errorf("start the process for the volume: %w", err)
	}
	return newChild(process, Settings{}), nil
}

// Configure sends the settings. It is called once, before any other method.
func (v *Child) Configure(s Settings) error {
	v.settings = s
	return errors.Join(v.stream.write(request{Settings: &s}), v.stream.flush())
}

func newChild(pipes io.ReadWriteCloser, s Settings) *Child {
	return &Child{pipes: pipes, stream: newStream(pipes, pipes), settings: s}
}

// ask sends a request with its texts and calls use with every answer. It closes the child
// when ctx ends first, because the child may be in a system call that nothing interrupts,
// and when the child breaks the protocol, because a later request would read a stale
// answer.
func (v *Child) ask(ctx context.Context, r request, use func(answer, [][]byte) error, texts ...[]byte) error {
	defer context.AfterFunc(ctx, v.Close)()
	err := errors.Join(v.stream.write(r, texts...), v.stream.flush())
	for err == nil {
		var a answer
		var attached [][]byte
		if attached, err = v.stream.read(&a); err != nil {
			break
		}
		err = use(a, attached)
		if err == nil && a.Done && a.Error != "" {
			return errors.New(a.Error)
		}
		if err == nil && a.Done {
			return nil
		}
	}
	v.Close()
	if ctx.Err() != nil {
		return errors.New("the volume does not answer in time")
	}
	return fmt.Errorf("the process for the volume ended: %w", err)
}

// Collect implements Volume.
func (v *Child) Collect(ctx context.Context, emit func(string, policy.Facts)) (policy.Facts, error) {
	// The child keeps to the time limit itself, unless the volume hangs.
	ctx, cancel := context.WithTimeout(ctx, v.settings.Timeout+time.Second)
	defer cancel()
	var container policy.Facts
	err := v.ask(ctx, request{Collect: true}, func(a answer, attached [][]byte) error {
		facts, err := factsOf(attached)
		switch {
		case err != nil:
			return err
		case a.Profile != "":
			emit(a.Profile, facts)
		case a.Done:
			container = facts
		}
		return nil
	})
	return container, err
}

// Plan needs nothing of the volume: the decisions have what the child found out.
func (v *Child) Plan(ctx context.Context, d policy.Decisions, o policy.PlanOptions) (policy.Plan, error) {
	return (&volume.Executor{}).Plan(ctx, d, o)
}

// Execute carries out the sweeps and seeds among the operations.
func (v *Child) Execute(ctx context.Context, operations []policy.Operation, _ policy.ExecuteOptions) []policy.Result {
	var mine []policy.Operation
	for _, op := range operations {
		if op.Op == policy.OpSweep || op.Op == policy.OpSeed {
			mine = append(mine, op)
		}
	}
	if len(mine) == 0 {
		return nil
	}
	var answered []result
	err := v.ask(ctx, request{Execute: mine}, func(a answer, _ [][]byte) error {
		answered = append(answered, a.Results...)
		return nil
	})
	if err == nil && len(answered) != len(mine) {
		err = fmt.Errorf("the process for the volume gave %d results for %d operations", len(answered), len(mine))
		answered = nil
	}
	results := make([]policy.Result, len(mine))
	for i, op := range mine {
		results[i].Operation = op
		switch {
		case err != nil:
			results[i].Err = fmt.Errorf("%s %s of profile %s: %w", op.Op, op.File, op.Profile, err)
		case answered[i].Error != "":
			results[i].Err = errors.New(answered[i].Error)
		}
		if err == nil {
			results[i].Done = answered[i].Done
		}
	}
	return results
}

// Change implements Volume.
func (v *Child) Change(ctx context.Context, c engine.Change) (done engine.Changed, err error) {
	err = v.ask(ctx, request{Change: &c}, func(a answer, _ [][]byte) error {
		if a.Changed != nil {
			done = *a.Changed
		}
		return nil
	})
	if err != nil && done.Missing {
		err = fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	}
	return done, err
}

// AppendLog implements Volume.
func (v *Child) AppendLog(ctx context.Context, name string, text []byte) error {
	return v.ask(ctx, request{Log: name}, func(answer, [][]byte) error { return nil }, text)
}

// Ledger implements Volume.
func (v *Child) Ledger(ctx context.Context, profile string) (lines []ledger.Line, err error) {
	err = v.ask(ctx, request{Ledger: &profile}, func(a answer, _ [][]byte) error {
		lines = append(lines, a.Ledger...)
		return nil
	})
	return lines, err
}

// Runs implements Volume.
func (v *Child) Runs(ctx context.Context, q ledger.Query) (runs ledger.Runs, err error) {
	err = v.ask(ctx, request{Runs: &q}, func(a answer, _ [][]byte) error {
		if a.Runs != nil {
			runs = *a.Runs
		}
		return nil
	})
	return runs, err
}

// Close ends the child without waiting for it.
func (v *Child) Close() { v.pipes.Close() }
