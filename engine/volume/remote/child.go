package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/volume"
	"hermes-reconcile/policy"
)

// answerLimit bounds what is read from the child: what it says comes from the
// volume. It is ten times the facts of 10,000 profiles.
const answerLimit = 512 << 20

// Child is the volume's side in a child process.
type Child struct {
	process  *process
	requests *encoder
	answers  *decoder
	settings Settings
}

// Start starts the child and tells it its settings.
func Start(s Settings) (*Child, error) {
	process, err := startProcess()
	if err != nil {
		return nil, fmt.Errorf("start the process for the volume: %w", err)
	}
	v := &Child{
		process: process, requests: newEncoder(process.stdin),
		answers: newDecoder(io.LimitReader(process.stdout, answerLimit)), settings: s,
	}
	return v, v.requests.encode(request{Settings: &s})
}

// ask sends a request with its texts and hands every answer to use. When ctx ends
// first, the child is given up: it may be in a system call that nothing interrupts.
func (v *Child) ask(ctx context.Context, r request, use func(answer, []attachment) error, texts ...[]byte) error {
	defer context.AfterFunc(ctx, v.Close)()
	err := v.requests.encode(r, texts...)
	for err == nil {
		var a answer
		var attached []attachment
		if attached, err = v.answers.decode(&a); err != nil {
			break
		}
		if err = use(a, attached); err != nil {
			break
		}
		if a.Error != "" {
			return errors.New(a.Error)
		}
		if a.Done {
			return nil
		}
	}
	if ctx.Err() != nil {
		return errors.New("the volume does not answer in time")
	}
	return fmt.Errorf("the process for the volume ended: %w", err)
}

func (v *Child) Collect(ctx context.Context, emit func(string, policy.Facts)) (policy.Facts, error) {
	// The child keeps to the time limit by itself, unless the volume hangs.
	ctx, cancel := context.WithTimeout(ctx, v.settings.Timeout+time.Second)
	defer cancel()
	var container policy.Facts
	err := v.ask(ctx, request{Collect: true}, func(a answer, attached []attachment) error {
		facts, err := factsOf(attached)
		switch {
		case err != nil:
			return err
		case a.Profile != "":
			emit(a.Profile, facts)
		case len(facts) > 0:
			container = facts
		}
		return nil
	})
	return container, err
}

// Plan needs nothing of the volume: the decisions have all that the child found out.
func (v *Child) Plan(ctx context.Context, d policy.Decisions, o policy.PlanOptions) (policy.Plan, error) {
	return (&volume.Executor{}).Plan(ctx, d, o)
}

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
	answered := map[int]result{}
	err := v.ask(ctx, request{Execute: mine}, func(a answer, _ []attachment) error {
		for _, r := range a.Results {
			answered[r.Index] = r
		}
		return nil
	})
	results := make([]policy.Result, len(mine))
	for i, op := range mine {
		results[i] = policy.Result{Operation: op}
		if err != nil {
			results[i].Err = fmt.Errorf("%s %s of profile %s: %w", op.Op, op.File, op.Profile, err)
		}
		if r, ok := answered[i]; ok {
			results[i] = policy.Result{Operation: op, Done: r.Done}
			if r.Error != "" {
				results[i].Err = errors.New(r.Error)
			}
		}
	}
	return results
}

func (v *Child) AppendLog(ctx context.Context, name string, text []byte) error {
	return v.ask(ctx, request{Log: name}, func(answer, []attachment) error { return nil }, text)
}

func (v *Child) Ledger(ctx context.Context, profile string) ([]ledger.Line, error) {
	var lines []ledger.Line
	err := v.ask(ctx, request{Ledger: &profile}, func(a answer, _ []attachment) error {
		lines = append(lines, a.Ledger...)
		return nil
	})
	return lines, err
}

func (v *Child) Runs(ctx context.Context, q ledger.Query) (ledger.Runs, error) {
	var runs ledger.Runs
	err := v.ask(ctx, request{Runs: &q}, func(a answer, _ []attachment) error {
		if a.Runs != nil {
			runs = *a.Runs
		}
		return nil
	})
	return runs, err
}

// Close ends the child without waiting for it.
func (v *Child) Close() { v.process.close() }
