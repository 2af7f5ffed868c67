package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// IsChild reports whether args are those of the child. main then calls Serve before it
// reads flags or configuration.
func IsChild(args []string) bool { return len(args) == 2 && args[1] == Command }

// Serve is the whole program of the child. It answers the requests on standard input
// until the input ends, and returns the exit status.
//
// The child is the same program as its parent, so the packages that only the parent uses
// are initialised here too. That takes 3 ms of processor time, most of it OPA's.
func Serve() int {
	TuneMemory()
	if err := serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "hermes-reconcile: %v\n", err)
		return 1
	}
	return 0
}

// TuneMemory lets the garbage collector run less often while the heap is small. It sets
// no memory limit: a rule may use more than such a limit would leave, and the collector
// would then run all the time.
func TuneMemory() { debug.SetGCPercent(400) }

// serve answers requests until there are no more.
func serve(ctx context.Context, in io.Reader, out io.Writer) error {
	pipes := newStream(in, out)
	var local *Local
	openErr := errors.New("this command is for hermes-reconcile itself")
	for {
		var r request
		texts, err := pipes.read(&r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		if r.Settings != nil {
			if openErr = become(*r.Settings); openErr == nil {
				local, openErr = Open(*r.Settings)
			}
			if openErr == nil {
				defer local.Close()
			}
			continue
		}
		last, facts := answer{Done: true}, policy.Facts(nil)
		if openErr != nil {
			last.Error = openErr.Error()
		} else {
			last, facts = local.answer(ctx, r, texts, pipes)
		}
		if err := errors.Join(pipes.writeFacts(last, facts), pipes.flush()); err != nil {
			return err
		}
	}
}

// become changes the user of this process for good, before it opens anything. The kernel
// then lets no other process of that user trace this one; the prctl does the same for a
// process whose user stays.
func become(s Settings) error {
	if s.OnlyRoot {
		_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	}
	if s.User == nil {
		return nil
	}
	err := syscall.Setgroups(nil)
	if err == nil {
		err = syscall.Setgid(s.User.GID)
	}
	if err == nil {
		err = syscall.Setuid(s.User.UID)
	}
	if err != nil {
		return fmt.Errorf("become the user %d:%d: %w", s.User.UID, s.User.GID, err)
	}
	return nil
}

// answer does what a request asks and returns its last answer, with the facts to attach.
// It writes the other answers to out.
func (v *Local) answer(ctx context.Context, r request, texts [][]byte, out *stream) (last answer, facts policy.Facts) {
	last.Done = true
	var err error
	switch {
	case r.Collect:
		facts, err = v.Collect(ctx, func(profile string, facts policy.Facts) {
			if err := out.writeFacts(answer{Profile: profile}, facts); err != nil {
				slog.Error("answer", "err", err)
			}
		})
	case r.Execute != nil:
		for _, done := range v.Execute(ctx, r.Execute, policy.ExecuteOptions{}) {
			one := result{Done: done.Done}
			if done.Err != nil {
				one.Error = done.Err.Error()
			}
			last.Results = append(last.Results, one)
		}
	case r.Ledger != nil:
		last.Ledger, err = v.Ledger(ctx, *r.Ledger)
	case r.Runs != nil:
		var runs ledger.Runs
		runs, err = v.Runs(ctx, *r.Runs)
		last.Runs = &runs
	case r.Change != nil:
		var changed engine.Changed
		changed, err = v.Change(ctx, *r.Change)
		last.Changed = &changed
	case r.Log != "" && len(texts) == 1:
		err = v.AppendLog(ctx, r.Log, texts[0])
	}
	if err != nil {
		last.Error = err.Error()
	}
	return last, facts
}
