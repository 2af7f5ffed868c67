package remote

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// IsChild reports whether args are those of the child: main calls Serve then, before it
// reads flags or configuration.
func IsChild(args []string) bool { return len(args) == 2 && args[1] == Command }

// Serve answers the requests on standard input until it ends, and returns the exit
// status. It is the whole program of the child.
func Serve() int {
	TuneMemory()
	if err := serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "hermes-reconcile: %v\n", err)
		return 1
	}
	return 0
}

// TuneMemory lets the collector run less often while the heap is small, and keeps
// it from growing past what a container with little memory has to spare: two
// processes work at a boot, each once and for a moment. See docs/performance.md.
func TuneMemory() {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(110 << 20)
}

// serve answers requests until there are no more.
func serve(ctx context.Context, in io.Reader, out io.Writer) error {
	buffered := newBatch(out)
	defer buffered.flush()
	requests, answers := newDecoder(in), newEncoder(buffered)
	var local *Local
	openErr := errors.New("this command is for hermes-reconcile itself")
	for {
		var r request
		attached, err := requests.decode(&r)
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
			continue
		}
		last, facts := answer{Done: true}, policy.Facts(nil)
		if openErr != nil {
			last.Error = openErr.Error()
		} else {
			last, facts = local.answer(ctx, r, attached, answers)
		}
		if err := errors.Join(answers.encodeFacts(last, facts), buffered.flush()); err != nil {
			return err
		}
	}
}

// become makes this process the unprivileged user's, for good. Nothing has been opened
// before. The kernel lets no other process of that user trace one that has changed its
// user; where nothing changes, this does.
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

// A batch gathers small writes. What is in it is written soon all the same, so that
// what was found out is known when a volume hangs in the middle.
type batch struct {
	mu      sync.Mutex
	out     *bufio.Writer
	pending bool // it will be flushed
}

// batchTime is how long an answer may wait for others.
const batchTime = 20 * time.Millisecond

func newBatch(out io.Writer) *batch { return &batch{out: bufio.NewWriterSize(out, 128<<10)} }

func (b *batch) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.pending {
		b.pending = true
		time.AfterFunc(batchTime, func() { _ = b.flush() })
	}
	return b.out.Write(p)
}

// flush writes what is there; an error is that of the next Write too.
func (b *batch) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending = false
	return b.out.Flush()
}

// answer does what a request asks and returns its last answer, with the facts that
// belong to it.
func (v *Local) answer(ctx context.Context, r request, attached []attachment, answers *encoder) (answer, policy.Facts) {
	last := answer{Done: true}
	var facts policy.Facts
	var err error
	switch {
	case r.Collect:
		facts, err = v.Collect(ctx, func(profile string, facts policy.Facts) {
			if err := answers.encodeFacts(answer{Profile: profile}, facts); err != nil {
				slog.Error("answer", "err", err)
			}
		})
	case r.Execute != nil:
		for i, done := range v.Execute(ctx, r.Execute, policy.ExecuteOptions{}) {
			one := result{Index: i, Done: done.Done}
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
	case r.Log != "" && len(attached) == 1:
		err = v.AppendLog(ctx, r.Log, attached[0].text)
	}
	if err != nil {
		last.Error = err.Error()
	}
	return last, facts
}
