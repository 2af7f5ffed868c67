package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/inspect"
	"hermes-reconcile/cmd/hermes-reconcile/metrics"
	"hermes-reconcile/engine/notify"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/process"
	"hermes-reconcile/s6"
)

func newWatch() *cobra.Command {
	var accept bool
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Keep a running container what the rules say (the service that boot makes)",
		Long: `Look again whenever something changes, and do what "apply" does, until a signal ends it.
"watch" makes and removes slots as profiles come and go, and ends and begins holds in time.
A gateway that was stopped by hand, or that ended for good, stays down. "boot" makes a
service of s6 that runs "watch", so there is nothing to start by hand.

A pass that would stop too many gateways (watch.max_stops) stops none. With --accept, the
watch that runs stops them.`,
		Example: `  hermes-reconcile watch --accept     # stop the gateways that it did not stop
  s6-svc -r /run/service/hermes-reconcile   # have another version of the program take over`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if accept {
				return configured(acceptStops)(cmd, nil)
			}
			return runWatch(cmd)
		},
	}
	cmd.Flags().BoolVar(&accept, "accept", false, "let the watch that runs stop the gateways that it did not stop because there are too many")
	return cmd
}

// askLimit is how long a command waits for the watch.
const askLimit = 30 * time.Second

func acceptStops(cmd *cobra.Command, c config.Config, _ []string) error {
	names, err := watch.Accept(c.RunDir, time.Now())
	if errors.Is(err, fs.ErrNotExist) {
		err = watch.ErrNoWatch
	}
	switch {
	case err != nil:
		return failed(fmt.Errorf("watch --accept: %w", err))
	case len(names) == 0:
		fmt.Fprintln(cmd.OutOrStdout(), "no stop waits to be accepted")
		return nil
	}
	if err := watch.Ask(cmd.Context(), c.RunDir, askLimit); err != nil {
		return failed(fmt.Errorf("watch --accept: %w", err))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "stopped: %s\n", policy.Line(strings.Join(names, ", ")))
	return nil
}

// runWatch is the service.
func runWatch(cmd *cobra.Command) error {
	w := &watcher{cmd: cmd, triggers: make(chan watch.Trigger), silent: map[watch.Kind]string{}}
	c, wrong, err := config.Read(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	w.log = newLogger(c, cmd.ErrOrStderr())
	for _, problem := range usable(&c, wrong) {
		w.alarms = append(w.alarms, policy.Alarm{Code: problem.Code, Reason: problem.Reason})
	}
	w.use(c)
	defer func() { w.rules.Close() }()
	unlock, err := onlyWatch(c.RunDir)
	if err != nil {
		return failed(fmt.Errorf("watch: %w", err))
	}
	defer unlock()
	if w.lease, err = newLeaseKeeper(c.RunDir); err != nil {
		return failed(fmt.Errorf("watch: %w", err))
	}
	moreGrace.Store(int64(lastWait))
	ctx, cancel := context.WithCancel(cmd.Context())
	var sources sync.WaitGroup
	defer sources.Wait()
	defer cancel()
	for kind, source := range map[watch.Kind]func(context.Context) error{
		watch.Volume:   w.watchVolume,
		watch.Operator: w.watchOperator,
		watch.Slots:    w.watchSlots,
		watch.Poke:     w.watchPokes,
	} {
		sources.Go(func() { w.listen(ctx, kind, source) })
	}
	loop := &watch.Loop{
		Dir: c.RunDir, Version: version, Triggers: w.triggers, Log: w.log, Times: w.times, Pass: w.pass, Events: w.events,
	}
	answers := metrics.NewWatch(func() time.Duration { return w.times().Resync })
	loop.Passed = func(r reconcile.Report, err error, triggers []string, took time.Duration, s *watch.State) {
		if err == nil {
			s.Lease = w.lease.passed(r, time.Now())
		}
		if c.Watch.Listen != "" {
			answers.Passed(passOf(w.current(), r, err, triggers, took, *s))
		}
	}
	if c.Watch.Listen != "" {
		sources.Go(func() { answers.Serve(ctx, c.Watch.Listen, w.log) })
	}
	if err := loop.Run(ctx); err != nil {
		return failed(err)
	}
	cancel()
	sources.Wait()
	return failed(w.release())
}

// passOf is a pass for who asks the watch.
func passOf(c config.Config, r reconcile.Report, err error, triggers []string, took time.Duration, s watch.State) metrics.Pass {
	p := metrics.Pass{Triggers: triggers, Took: took, Failed: err != nil || r.Failed()}
	for _, result := range r.Results {
		if result.Done {
			p.Changed++
		}
	}
	if r.Decisions.Profiles != nil {
		s.LookedUnix = time.Now().Unix()
		p.Status = statusOf(c, r, s, nil)
	}
	return p
}

// keepApplied tells a watch what a pass over all profiles has carried out.
func keepApplied(c config.Config, r reconcile.Report, log *slog.Logger) {
	if !c.Watch.Enabled || r.Decisions.Profiles == nil {
		return
	}
	if err := watch.KeepApplied(c.RunDir, r); err != nil && !errors.Is(err, fs.ErrPermission) {
		log.Warn("a watch does not know what was applied", "err", err)
	}
}

// onlyWatch makes the directory of the watch, and keeps another one out.
func onlyWatch(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, "watch.lock"), flock.SetFlag(os.O_CREATE|os.O_RDONLY|unix.O_NOFOLLOW), flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err == nil && !locked {
		err = fmt.Errorf("another one runs already, and has %s locked", lock.Path())
	}
	return func() { _ = lock.Close() }, err
}

// A watcher gives a watch.Loop what it needs.
type watcher struct {
	cmd      *cobra.Command
	log      *slog.Logger
	triggers chan watch.Trigger
	lease    *leaseKeeper

	mutex  sync.Mutex // of the rest
	config config.Config
	rules  *process.Watched
	alarms []policy.Alarm        // about the configuration
	silent map[watch.Kind]string // why a source gives no events
}

// use takes a configuration into use.
func (w *watcher) use(c config.Config) {
	if w.rules != nil {
		w.rules.Close()
	}
	w.config, w.rules = c, &process.Watched{Rules: newRules(c), Directories: c.Policy}
}

// reload reads the configuration again. A wrong one leaves the present one in force.
func (w *watcher) reload() {
	c, err := config.Load(w.cmd.Flags(), os.Environ())
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if err == nil && reflect.DeepEqual(c, w.config) {
		return
	}
	if err == nil {
		_, err = newExecutor(c, w.log)
	}
	if err != nil {
		w.alarms = []policy.Alarm{{Code: inspect.CodeConfiguration, Reason: "the configuration cannot be used, and the one before stays in force: " + err.Error()}}
		return
	}
	w.alarms = nil
	w.use(c)
}

func (w *watcher) current() config.Config {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.config
}

func (w *watcher) times() watch.Times {
	c := w.current()
	return watch.Times{Debounce: c.Watch.Debounce, Resync: c.Watch.Resync, MaxStops: c.Watch.MaxStops}
}

func (w *watcher) events() map[string]string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	all := map[string]string{}
	for kind, why := range w.silent {
		all[string(kind)] = why
	}
	return all
}

// pass runs one pass on the present configuration.
func (w *watcher) pass(ctx context.Context, log *slog.Logger, o reconcile.Options) (reconcile.Report, error) {
	w.reload()
	c := w.current()
	ctx, cancel := context.WithTimeout(ctx, 2*c.Boot.Deadline+time.Minute)
	defer cancel()
	world, closeWorld, err := newWorld(c, o.Phase, log, log)
	if err != nil {
		return reconcile.Report{}, err
	}
	defer closeWorld()
	world.Rules = w.rules
	world.Alarms = append(world.Alarms, slices.Concat(w.alarms, w.lease.alarms())...)
	world.Alarms = append(world.Alarms, w.rules.Refresh(ctx)...)
	return reconcile.Pass(ctx, world, o)
}

// again is the longest time for which a source that ended is left alone.
const again = time.Minute

// listen runs a source of triggers until ctx ends. One that ends soon again and again waits
// longer each time.
func (w *watcher) listen(ctx context.Context, kind watch.Kind, source func(context.Context) error) {
	for pause := time.Second; ; pause = min(2*pause, again) {
		begun := time.Now()
		err := source(ctx)
		if ctx.Err() != nil {
			return
		}
		w.quiet(kind, err)
		if time.Since(begun) > again {
			pause = time.Second
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// quiet notes why a source gives no events; nil is that it does.
func (w *watcher) quiet(kind watch.Kind, err error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if err == nil {
		delete(w.silent, kind)
		return
	}
	if w.silent[kind] != err.Error() {
		w.log.Warn("no events", "of", kind, "err", err)
	}
	w.silent[kind] = err.Error()
}

func (w *watcher) trigger(ctx context.Context, t watch.Trigger) {
	select {
	case w.triggers <- t:
	case <-ctx.Done():
	}
}

func (w *watcher) watchPokes(ctx context.Context) error {
	c := w.current()
	u, err := lookupUser(c.User)
	if err != nil {
		return err
	}
	w.quiet(watch.Poke, nil)
	return watch.Pokes(ctx, c.RunDir, u.GID, w.triggers)
}

// watchSlots watches the scan directory.
func (w *watcher) watchSlots(ctx context.Context) error {
	w.quiet(watch.Slots, nil)
	dir := w.current().ScanDir
	return notify.Watch(ctx, func() []string { return s6.EventDirs(dir) }, func(path string) {
		if profile, means := s6.EventProfile(dir, path); means || path == "" {
			w.trigger(ctx, watch.Trigger{Kind: watch.Slots, Key: profile})
		}
	})
}

// watchOperator watches the rules, the configuration, the plug-ins and the overrides.
func (w *watcher) watchOperator(ctx context.Context) error {
	w.quiet(watch.Operator, nil)
	return notify.Watch(ctx, w.operatorDirs, func(path string) {
		if c := w.current(); filepath.Dir(path) != c.StateDir || filepath.Base(path) == policy.OverridesFile {
			w.trigger(ctx, watch.Trigger{Kind: watch.Operator})
		}
	})
}

func (w *watcher) operatorDirs() []string {
	c := w.current()
	dirs := []string{c.Facts.Dir, c.StateDir, filepath.Dir(config.File(w.cmd.Flags()))}
	for _, policyDir := range c.Policy {
		dirs = append(dirs, filepath.Dir(filepath.Clean(policyDir)))
		_ = filepath.WalkDir(policyDir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
	}
	return dirs
}
