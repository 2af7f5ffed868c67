package remote

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/child"
	"hermes-reconcile/engine/facts"
	"hermes-reconcile/engine/gatewaylog"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/volume"
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
	unix.Umask(0) // a file gets the mode that it is made with, where no chmod is possible (SMB, exFAT)
	if err := serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "hermes-reconcile: %v\n", err)
		return 1
	}
	return 0
}

// TuneMemory lets the garbage collector run less often while the heap is small. It sets
// no memory limit: a rule may use more than such a limit would leave, and the collector
// would then run all the time.
func TuneMemory() { debug.SetGCPercent(200) }

// serve answers requests until the input ends.
func serve(ctx context.Context, in io.Reader, out io.Writer) error {
	pipes := child.NewStream(in, out)
	v := &server{out: pipes, err: errors.New("this command is for hermes-reconcile itself")}
	defer v.close()
	for {
		var r request
		texts, err := pipes.Read(&r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		if r.Settings != nil {
			v.open(*r.Settings)
			continue
		}
		if err := errors.Join(v.answer(ctx, r, texts), pipes.Flush()); err != nil {
			return err
		}
	}
}

// become changes the user of this process for good, before it opens anything. The kernel
// then lets no other process of that user trace this one. Such a process can still send
// signals: what this process prints when one ends it stays out of root's log.
func become(s Settings) error {
	if s.User == nil {
		return nil
	}
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGTSTP, syscall.SIGABRT, syscall.SIGUSR1, syscall.SIGUSR2)
	err := silence()
	liftLimits(s.Crowded)
	if err == nil {
		err = syscall.Setgroups(nil)
	}
	if err == nil {
		err = syscall.Setgid(s.User.GID)
	}
	if err == nil {
		err = syscall.Setuid(s.User.UID)
	}
	if err != nil {
		return fmt.Errorf("become the user %d:%d: %w; root needs CAP_SETUID and CAP_SETGID for it (cap_add SETUID and SETGID)", s.User.UID, s.User.GID, err)
	}
	// The system may be set up to let such processes be traced.
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// silence sends standard error to nowhere.
func silence() error {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	return unix.Dup3(int(null.Fd()), syscall.Stderr, 0)
}

// threads is more than the child needs on one processor.
const threads = 24

// liftLimits lets the child work however many processes the agent's user has: Go ends a
// program that gets no new thread. Where root may not lift the limit, a child whose
// predecessor died makes its threads while it is root, whose threads the limit does not
// count. That takes 3 ms, and such a child uses one processor.
func liftLimits(crowded bool) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NPROC, &limit) != nil || limit.Cur == unix.RLIM_INFINITY {
		return
	}
	none := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if unix.Setrlimit(unix.RLIMIT_NPROC, &none) == nil {
		return
	}
	_ = unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: limit.Max, Max: limit.Max})
	if !crowded {
		return
	}
	runtime.GOMAXPROCS(1)
	var made, all sync.WaitGroup
	made.Add(threads)
	for range threads {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread() // Go keeps the thread
			made.Done()
			made.Wait()
		})
	}
	all.Wait()
}

// A server does the work of the child.
type server struct {
	out      *child.Stream
	settings Settings
	home     *volume.Home
	watcher  *watcher // since the first request for events
	err      error    // why nothing can be done
}

func (v *server) open(s Settings) {
	v.close()
	v.settings = s
	if v.err = become(s); v.err == nil {
		v.home, v.err = volume.Open(s.Home)
	}
}

func (v *server) close() {
	if v.home != nil {
		v.home.Close()
	}
}

func (v *server) answer(ctx context.Context, r request, texts [][]byte) error {
	var value any
	err := v.err
	switch {
	case err != nil:
	case r.Collect:
		facts, err := v.collect(ctx)
		return v.out.Write(lastAnswer(err), child.Texts(facts)...)
	case r.Execute != nil:
		value = v.execute(ctx, r.Execute)
	case r.Runs != nil:
		value, err = v.runs(ctx, *r.Runs)
	case r.Lines != nil:
		value, err = v.lines(ctx, *r.Lines)
	case r.Change != nil:
		value, err = v.change(ctx, *r.Change)
	case r.Events != nil:
		value = v.events(ctx, *r.Events)
	case r.Log != "" && len(texts) == 1:
		limit := ledger.Limit
		if r.Log == ledger.BootLogName {
			limit = ledger.BootLogLimit
		}
		err = v.home.AppendLog(r.Log, texts[0], int64(limit))
	}
	text, jsonErr := json.Marshal(value)
	return errors.Join(jsonErr, v.out.Write(lastAnswer(err), text))
}

func lastAnswer(err error) answer {
	if err != nil {
		return answer{Done: true, Error: err.Error()}
	}
	return answer{Done: true}
}

func (v *server) collect(ctx context.Context) (policy.Facts, error) {
	ctx, cancel := context.WithTimeout(ctx, v.settings.Timeout)
	defer cancel()
	collector := engine.Collector{Home: v.home, SourceTimeout: v.settings.SourceTimeout}
	collector.Sources, collector.ProfileSources = Sources(v.settings, v.home)
	container := make(chan policy.Facts, 1)
	go func() { container <- collector.Container(ctx) }()
	err := collector.Profiles(ctx, func(profile string, facts policy.Facts) {
		if err := v.out.Write(answer{Profile: profile}, child.Texts(facts)...); err != nil {
			slog.Error("answer", "err", err)
		}
	})
	return <-container, err
}

func (v *server) execute(ctx context.Context, operations []policy.Operation) []result {
	executor := volume.Executor{Home: v.home, Live: v.settings.Phase == policy.PhaseApply}
	var results []result
	for _, done := range executor.Execute(ctx, operations, policy.ExecuteOptions{}) {
		results = append(results, result{Done: done.Done, Error: lastAnswer(done.Err).Error})
	}
	return results
}

// runs adds the profiles on the volume to the names in the ledger.
func (v *server) runs(ctx context.Context, q ledger.Query) (ledger.Runs, error) {
	runs := ledger.ReadRuns(v.home.Root(), q)
	profiles, err := v.home.Profiles(ctx)
	for _, p := range profiles {
		runs.Names = append(runs.Names, p.Name)
	}
	slices.Sort(runs.Names)
	runs.Names = slices.Compact(runs.Names)
	return runs, err
}

func (v *server) lines(ctx context.Context, q gatewaylog.Query) (l gatewaylog.Lines, err error) {
	visitErr := v.home.Visit(ctx, q.Profile, func(dir policy.Directory) {
		err = errors.New("no slot can have this name, so there is no log")
		if name := facts.LogDirectory(dir.Profile()); name != "" {
			l, err = gatewaylog.Read(v.home.Root(), name, q)
		}
	})
	return l, cmp.Or(visitErr, err)
}

func (v *server) change(ctx context.Context, c engine.Change) (done engine.Changed, err error) {
	switch c.Kind {
	case engine.ReadIntent:
		done.Intent, err = v.home.Intent(ctx, c.Profile)
	case engine.WriteIntent:
		done.Changed, err = v.home.SetIntent(ctx, c.Profile, c.Intent)
	case engine.PlannedStop:
		err = v.home.MarkPlannedStop(ctx, c.Profile, c.PID, c.StartTime, os.Getppid(), time.Now())
		done.Changed = err == nil
	case engine.WriteHold:
		if c.Hold == nil {
			return done, errors.New("the hold to write is missing")
		}
		err = v.home.WriteHold(ctx, c.Profile, *c.Hold)
		done.Changed = err == nil
	case engine.RemoveHold:
		done.Changed, err = v.home.RemoveHold(ctx, c.Profile)
	case engine.ReadSaid, engine.ReadLog:
		err = v.home.Visit(ctx, c.Profile, func(dir policy.Directory) {
			if c.Kind == engine.ReadLog {
				done.Log = facts.LastLog(v.home.Root(), dir.Profile())
			} else {
				done.Said = facts.Said(dir)
			}
		})
	case engine.WriteLease, engine.ReleaseLease:
		done.Changed, err = v.lease(c)
	default:
		err = fmt.Errorf("unknown change %q", c.Kind)
	}
	done.Missing = errors.Is(err, fs.ErrNotExist)
	return done, err
}

// lease writes or releases the lease, and reports whether it was ours to do so.
func (v *server) lease(c engine.Change) (ours bool, err error) {
	if c.Lease == nil || c.Lease.ID == "" {
		return false, errors.New("the lease has no id")
	}
	v.watcher.writes(c.Lease.ID)
	if c.Kind == engine.ReleaseLease {
		ours, err = v.home.ReleaseLease(c.Lease.ID)
	} else {
		ours, err = v.home.WriteLease(*c.Lease, c.Lease.ID, c.Over)
	}
	if ours {
		v.watcher.wrote()
	}
	return ours, err
}
