// Package service is the watch as a service: what wakes it, the configuration and the rules
// that it reads anew, and the lease of the volume.
package service

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/inspect"
	"hermes-reconcile/cmd/hermes-reconcile/metrics"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine/decisionlog"
	"hermes-reconcile/engine/notify"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/rego/bundle"
	"hermes-reconcile/rego/process"
	"hermes-reconcile/s6/scandir"
)

// A Service is what a watch is given.
type Service struct {
	Flags   *pflag.FlagSet // with those of the configuration
	Version string
	Log     *slog.Logger
	Console io.Writer // gets the decision log if the configuration says so
	// Status makes the status of a pass, for who asks the watch.
	Status func(config.Config, reconcile.Report, watch.State, error) *status.Document
}

// Run keeps a container what the rules say until ctx ends. Wrong is what was wrong with the
// configuration. The error is that the watch cannot begin, or that it could not give the lease of
// the volume away.
func (s Service) Run(ctx context.Context, c config.Config, wrong error) error {
	w := &watcher{Service: s, triggers: make(chan watch.Trigger), silent: map[string]string{}, bundles: map[string]policy.Bundle{}}
	for _, problem := range world.Usable(&c, wrong) {
		w.alarms = append(w.alarms, policy.Alarm{Code: problem.Code, Reason: problem.Reason})
	}
	w.use(c)
	defer func() { w.rules.Close() }()
	unlock, err := onlyWatch(c.RunDir)
	if err != nil {
		return err
	}
	defer unlock()
	if w.lease, err = newLeaseKeeper(c.RunDir); err != nil {
		return err
	}
	if err := w.loop(ctx, c); err != nil {
		return err
	}
	return w.release()
}

// loop looks again and again, with the sources of triggers beside it, until ctx ends.
func (w *watcher) loop(ctx context.Context, c config.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	var sources sync.WaitGroup
	defer sources.Wait()
	defer cancel()
	for kind, source := range map[watch.Kind]func(context.Context) error{
		watch.Volume:   w.watchVolume,
		watch.Operator: w.watchOperator,
		watch.Slots:    w.watchSlots,
		watch.Poke:     w.watchPokes,
		watch.Bundles:  w.watchBundles,
	} {
		sources.Go(func() { w.listen(ctx, kind, source) })
	}
	loop := &watch.Loop{
		Dir: c.RunDir, Triggers: w.triggers, Log: w.Log, Times: w.times, Pass: w.pass, Events: w.events,
	}
	answers := metrics.NewWatch(func() time.Duration { return w.times().Resync })
	answers.Page = &reporter{arguments: func() []string { return append([]string{"report", "--output=table"}, w.current().Given...) }}
	uploader := newUploader(c, w.Log)
	loop.Passed = func(r reconcile.Report, err error, triggers []string, took time.Duration, s *watch.State) {
		if err == nil {
			w.lease.passed(r, time.Now())
			w.judge(ctx, r)
		}
		if c.Watch.Listen == "" && uploader == nil {
			return
		}
		if uploader != nil {
			s.Uploads = new(uploader.State())
		}
		pass := w.passOf(r, err, triggers, took, *s)
		answers.Passed(pass)
		if uploader != nil && pass.Status != nil {
			uploader.Passed(decisionlog.Status{Labels: pass.Status.Labels, Bundles: w.bundleStatuses(pass.Status)})
		}
	}
	if uploader != nil {
		sources.Go(func() { uploader.Run(ctx) })
	}
	if c.Watch.Listen != "" {
		sources.Go(func() { answers.Serve(ctx, c.Watch.Listen, w.Log) })
	}
	return loop.Run(ctx)
}

// passOf is a pass for who asks the watch.
func (w *watcher) passOf(r reconcile.Report, err error, triggers []string, took time.Duration, s watch.State) metrics.Pass {
	p := metrics.Pass{Triggers: triggers, Took: took, Failed: err != nil || r.Failed()}
	for _, result := range r.Results {
		if result.Done {
			p.Changed++
		}
	}
	if r.Decisions.Profiles != nil {
		s.LookedUnix = time.Now().Unix()
		p.Status = w.Status(w.current(), r, s, nil)
	}
	return p
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
	Service
	triggers chan watch.Trigger
	lease    *leaseKeeper

	revision  string // of the rules, in the loop alone
	activated time.Time

	mutex  sync.Mutex // of the rest
	config config.Config
	rules  *process.Watched
	alarms []policy.Alarm    // about the configuration
	silent map[string]string // why a source gives no events, by its kind

	bundles map[string]policy.Bundle // that are fetched, by source
	renew   context.CancelFunc       // asks their sources anew
	putting sync.Mutex               // held while one is put in force or rolled back
}

// use takes a configuration into use.
func (w *watcher) use(c config.Config) {
	if w.rules != nil {
		w.rules.Close()
	}
	w.config, w.rules = c, &process.Watched{Rules: world.Rules(c), Places: world.Sources(c).Places()}
}

// reload reads the configuration again. A wrong one leaves the present one in force.
func (w *watcher) reload() {
	c, err := config.Load(w.Flags, os.Environ())
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if err == nil && reflect.DeepEqual(c, w.config) {
		return
	}
	if err == nil {
		_, err = world.Executor(c, w.Log)
	}
	if err != nil {
		w.alarms = []policy.Alarm{{Code: inspect.CodeConfiguration, Reason: "the configuration cannot be used, and the one before stays in force: " + err.Error()}}
		return
	}
	w.alarms = nil
	w.use(c)
	if w.renew != nil {
		w.renew()
	}
}

func (w *watcher) current() config.Config {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.config
}

func (w *watcher) times() watch.Times {
	c := w.current()
	plugins, _ := os.ReadDir(c.Facts.Dir) // a pass tells what is wrong with it
	return watch.Times{Debounce: c.Watch.Debounce, Resync: c.Watch.Resync, MaxStops: c.Watch.MaxStops, Polls: len(plugins) > 0 || w.hasTrial()}
}

func (w *watcher) events() map[string]string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return maps.Clone(w.silent)
}

// pass runs one pass on the present configuration.
func (w *watcher) pass(ctx context.Context, log *slog.Logger, o reconcile.Options) (reconcile.Report, error) {
	w.reload()
	c := w.current()
	ctx, cancel := context.WithTimeout(ctx, 2*c.Boot.Deadline+time.Minute)
	defer cancel()
	on, closeWorld, err := world.New(c, o.Phase, log, log)
	if err != nil {
		return reconcile.Report{}, err
	}
	defer closeWorld()
	on.Rules, on.LogDecisions = w.rules, world.DecisionLog(c, w.Version, w.Console, log)
	on.Alarms = append(on.Alarms, slices.Concat(w.alarms, w.lease.alarms(), w.bundleAlarms())...)
	on.Alarms = append(on.Alarms, w.rules.Refresh(ctx)...)
	return reconcile.Pass(ctx, on, o)
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
		delete(w.silent, string(kind))
		return
	}
	if w.silent[string(kind)] != err.Error() {
		w.Log.Warn("no events", "of", kind, "err", err)
	}
	w.silent[string(kind)] = err.Error()
}

func (w *watcher) trigger(ctx context.Context, t watch.Trigger) {
	select {
	case w.triggers <- t:
	case <-ctx.Done():
	}
}

func (w *watcher) watchPokes(ctx context.Context) error {
	c := w.current()
	user, err := trust.LookupUser(c.User)
	if err != nil {
		return err
	}
	w.quiet(watch.Poke, nil)
	return watch.Pokes(ctx, c.RunDir, user.GID, w.triggers)
}

// watchSlots watches the scan directory.
func (w *watcher) watchSlots(ctx context.Context) error {
	w.quiet(watch.Slots, nil)
	dir := w.current().ScanDir
	return notify.Watch(ctx, func() []string { return scandir.EventDirs(dir) }, func(path string) {
		if profile, means := scandir.EventProfile(dir, path); means || path == "" {
			w.trigger(ctx, watch.Trigger{Kind: watch.Slots, Key: profile})
		}
	})
}

// watchOperator watches the rules, the configuration, the plug-ins, the overrides and the pauses.
func (w *watcher) watchOperator(ctx context.Context) error {
	w.quiet(watch.Operator, nil)
	return notify.Watch(ctx, w.operatorDirs, func(path string) {
		if filepath.Base(path) == bundle.AcceptFile {
			w.askAnew()
		}
		if c := w.current(); filepath.Dir(path) != c.StateDir || slices.Contains([]string{policy.OverridesFile, policy.PausesFile}, filepath.Base(path)) {
			w.trigger(ctx, watch.Trigger{Kind: watch.Operator})
		}
	})
}

func (w *watcher) operatorDirs() []string {
	c := w.current()
	dirs := []string{c.Facts.Dir, c.StateDir, filepath.Dir(config.File(w.Flags))}
	for _, policyDir := range world.Sources(c).Places() {
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
