package remote

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/child"
	"hermes-reconcile/engine/gatewaylog"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// Command is the only argument of a child.
const Command = "volume"

// A Child is the parent's end of the child, and a reconcile.Volume. It answers one call at a
// time.
//
// The child runs under the agent's user, so the agent can kill it at any moment. A request
// whose child died goes to a new child, once: every request may be done twice. The new child
// needs no new thread. A volume that did not answer in time is asked nothing more. Under a
// command on a running container, which has the lock meanwhile, all requests share one time
// limit.
type Child struct {
	pipes    io.ReadWriteCloser // Close ends the child
	stream   *child.Stream
	settings Settings
	restart  func() (io.ReadWriteCloser, error) // nil: there is no new child
	gone     error                              // why nothing is asked any more
	left     time.Duration                      // of patience
	unseen   int                                // leases in a row that were written without an event
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
	pipes, err := start()
	if err != nil {
		return nil, err
	}
	v := newChild(pipes, Settings{})
	v.restart = start
	return v, nil
}

// Unreachable is a child that could not be started: whatever needs it gets the error.
func Unreachable(err error) *Child { return &Child{gone: err} }

// maxLiving is how many children there may be. A process that waits for a volume that hangs may
// not end before the volume answers, and a watch would add one after the other.
const maxLiving = 20

var living atomic.Int32

func start() (io.ReadWriteCloser, error) {
	if n := living.Load(); n >= maxLiving {
		return nil, fmt.Errorf("%w: %d processes that wait for it cannot be ended, and no more are started", errLate, n)
	}
	p, err := child.Start(Command, os.Stderr)
	if err != nil {
		return nil, fmt.Errorf("start the process for the volume: %w", err)
	}
	living.Add(1)
	go func() {
		p.Wait()
		living.Add(-1)
	}()
	return p, nil
}

// Configure sends the settings. It is called once, before any other method.
func (v *Child) Configure(s Settings) error {
	v.settings = s
	return errors.Join(v.stream.Write(request{Settings: &s}), v.stream.Flush())
}

func newChild(pipes io.ReadWriteCloser, s Settings) *Child {
	return &Child{pipes: pipes, stream: child.NewStream(pipes, pipes), settings: s, left: patience}
}

// shortTime limits a request that reads or writes one file. It is longer than a log waits
// for its lock.
const shortTime = 4 * time.Second

// patience is how long the volume may keep a command on a running container waiting beyond
// what the facts get. Each request, or each operation of it, adds callTime. On a machine
// where forty processes wait for two processors a new child took more than 2 s.
const (
	patience = 4 * time.Second
	callTime = 50 * time.Millisecond
)

var errLate = errors.New("the volume does not answer in time")

// ask sends a request with its texts and calls use with every answer. A new child answers
// from the beginning.
func (v *Child) ask(ctx context.Context, limit time.Duration, r request, use func(answer, [][]byte) error, texts ...[]byte) error {
	if v.gone != nil {
		return v.gone
	}
	if v.settings.Phase == policy.PhaseApply && !r.Collect && r.Events == nil {
		v.left += time.Duration(max(1, len(r.Execute))) * callTime
		limit = min(limit, v.left)
		defer func(begun time.Time) { v.left -= time.Since(begun) }(time.Now())
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answered, err := v.askOnce(ctx, r, use, texts)
	if !answered && ctx.Err() == nil && v.restart != nil {
		pipes, startErr := v.restart()
		if startErr != nil {
			return errors.Join(err, startErr)
		}
		v.pipes, v.stream = pipes, child.NewStream(pipes, pipes)
		v.settings.Crowded = true
		_ = v.Configure(v.settings) // the request fails too
		answered, err = v.askOnce(ctx, r, use, texts)
	}
	if !answered && ctx.Err() != nil {
		v.gone = errLate
		return errLate
	}
	return err
}

// askOnce reports whether the child answered; the error is then that of its answer. It closes
// the child when ctx ends first, because the child may be in a system call that nothing
// interrupts, and when the child breaks the protocol, because a later request would read a
// stale answer.
func (v *Child) askOnce(ctx context.Context, r request, use func(answer, [][]byte) error, texts [][]byte) (answered bool, err error) {
	pipes := v.pipes
	defer context.AfterFunc(ctx, func() { pipes.Close() })()
	err = cmp.Or(v.stream.Write(r, texts...), v.stream.Flush())
	for err == nil {
		var a answer
		var attached [][]byte
		if attached, err = v.stream.Read(&a); err != nil {
			break
		}
		err = use(a, attached)
		if err == nil && a.Done && a.Error != "" {
			return true, errors.New(a.Error)
		}
		if err == nil && a.Done {
			return true, nil
		}
	}
	v.Close()
	return false, fmt.Errorf("the process for the volume ended: %w", err)
}

// valueOf asks for a value, which is attached to the last answer. With an error, it is what
// the child had found by then.
func valueOf[T any](ctx context.Context, v *Child, limit time.Duration, r request) (value T, err error) {
	err = v.ask(ctx, limit, r, func(a answer, attached [][]byte) error {
		if !a.Done || len(attached) != 1 {
			return nil
		}
		return json.Unmarshal(attached[0], &value)
	})
	return value, err
}

// Collect returns the facts about the container that are on the volume. It calls emit with
// the facts of each profile.
func (v *Child) Collect(ctx context.Context, emit func(string, policy.Facts)) (policy.Facts, error) {
	var container policy.Facts
	// The child keeps to the time limit itself, unless the volume hangs.
	err := v.ask(ctx, v.settings.Timeout+time.Second, request{Collect: true}, func(a answer, attached [][]byte) error {
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
	answered, err := valueOf[[]result](ctx, v, v.settings.Timeout, request{Execute: mine})
	if err == nil && len(answered) != len(mine) {
		err = fmt.Errorf("the process for the volume gave %d results for %d operations", len(answered), len(mine))
	}
	results := make([]policy.Result, len(mine))
	for i, op := range mine {
		results[i].Operation = op
		switch {
		case err != nil:
			results[i].Err = fmt.Errorf("%s %s of profile %s: %w", op.Op, op.File, op.Profile, err)
			continue
		case answered[i].Error != "":
			results[i].Err = errors.New(answered[i].Error)
		}
		results[i].Done = answered[i].Done
	}
	return results
}

// Change reads or writes what a life cycle command needs of a profile. The error wraps
// fs.ErrNotExist when the profile does not exist.
func (v *Child) Change(ctx context.Context, c engine.Change) (engine.Changed, error) {
	done, err := valueOf[engine.Changed](ctx, v, shortTime, request{Change: &c})
	if err != nil && done.Missing {
		err = fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	}
	return done, err
}

// WriteLease takes the lease of the volume, or renews it. The error is engine.ErrLeaseTaken
// when the lease of another container stands there, unless it is the lease l.Over.
func (v *Child) WriteLease(ctx context.Context, l engine.Lease) error {
	done, err := v.Change(ctx, engine.Change{Kind: engine.WriteLease, Lease: &l, Over: l.Over})
	if err == nil && !done.Changed {
		err = engine.ErrLeaseTaken
	}
	return err
}

// ReleaseLease removes the lease, if it still has the id.
func (v *Child) ReleaseLease(ctx context.Context, id string) error {
	_, err := v.Change(ctx, engine.Change{Kind: engine.ReleaseLease, Lease: &engine.Lease{ID: id}})
	return err
}

// AppendLog appends text to logs/<name> in the home.
func (v *Child) AppendLog(ctx context.Context, name string, text []byte) error {
	return v.ask(ctx, shortTime, request{Log: name}, func(answer, [][]byte) error { return nil }, text)
}

// Runs returns what the ledger has of the newest runs.
func (v *Child) Runs(ctx context.Context, q ledger.Query) (ledger.Runs, error) {
	return valueOf[ledger.Runs](ctx, v, v.settings.Timeout, request{Runs: &q})
}

// Close ends the child without waiting for it.
func (v *Child) Close() {
	if v.pipes != nil {
		v.pipes.Close()
	}
}

// GatewayLog returns lines of the log of a profile's gateway.
func (v *Child) GatewayLog(ctx context.Context, q gatewaylog.Query) (gatewaylog.Lines, error) {
	return valueOf[gatewaylog.Lines](ctx, v, v.settings.Timeout, request{Lines: &q})
}
