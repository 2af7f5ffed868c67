package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/s6"
)

// A liveRun is one command that changes a running container. Other runs are kept out
// from the first look to the last change, as far as this user can.
type liveRun struct {
	command   string // as the ledger has it
	config    config
	log       *slog.Logger
	side      remote.Volume
	executor  *s6.Executor
	evaluator *rego.Evaluator
	report    liveReport
	results   []policy.Result
	locked    bool // others are kept out
	close     func()
}

// liveFlags are the flags of all commands that start or stop.
type liveFlags struct {
	timeout time.Duration
	upFor   time.Duration
	wait    bool
	force   bool
	all     bool
	look    bool // nothing is touched, so nobody has to be kept out
}

func (f *liveFlags) add(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.timeout, "timeout", 10*time.Second, "how long a gateway gets to start or to stop, and a supervisor to appear")
	cmd.Flags().BoolVar(&f.wait, "wait", true, "wait until it is so; --wait=false only asks for it")
}

// defaultUpFor goes with every --timeout, also with one that leaves no time for a start:
// not every command has something to start.
const defaultUpFor = time.Second

// addUpFor is for commands that start. A gateway that cannot work often says so only
// after it has loaded its libraries.
func (f *liveFlags) addUpFor(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.upFor, "up-for", defaultUpFor, "how long a gateway has to stay up until its start counts as done")
}

func (f *liveFlags) addForce(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.force, "kill", false, "kill a gateway that does not stop within --timeout")
}

// who checks that a command has either names or --all.
func (f liveFlags) who(names []string) error {
	switch {
	case f.timeout <= 0:
		return fmt.Errorf("--timeout is %v, want more than 0, such as 30s", f.timeout)
	case f.upFor < 0 || f.upFor > defaultUpFor && f.upFor >= f.timeout:
		return fmt.Errorf("--up-for is %v, want 0 or more, and less than --timeout (%v)", f.upFor, f.timeout)
	case f.all && len(names) > 0:
		return errors.New("--all is everybody: leave the names out")
	case !f.all && len(names) == 0:
		return errors.New("which profile? Give names, or --all")
	}
	return nil
}

// openLive makes everything ready. The context ends with the time that the command
// may take.
func openLive(cmd *cobra.Command, command string, f liveFlags) (*liveRun, context.Context, error) {
	c, err := loadConfig(cmd.Flags(), os.Environ())
	if err != nil {
		return nil, nil, err
	}
	r := &liveRun{command: command, config: c, log: newLogger(c, cmd.ErrOrStderr()), report: newLiveReport(command)}
	if r.executor, err = newExecutor(c, r.log); err != nil {
		return nil, nil, err
	}
	e := r.executor
	e.Live, e.Rescan, e.Wait, e.Steady, e.NoWait, e.Force = true, true, f.timeout, f.upFor, !f.wait, f.force
	e.LockTimeout = c.Boot.Deadline + f.timeout
	// What waits: another run, a stop, a start, and the answer of s6-svscan.
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*c.Boot.Deadline+6*f.timeout)
	r.close = cancel
	unlock := func() {}
	if !f.look {
		unlock, err = e.Lock(ctx)
	}
	switch {
	case f.look:
	case err == nil:
		r.locked = true
		r.close = func() { unlock(); cancel() }
	case !errors.Is(err, fs.ErrPermission):
		cancel()
		return nil, nil, &exitError{exitProfile, err}
	}
	if r.side, err = openSide(c, policy.PhaseApply); err != nil {
		r.side = unreachableVolume{err: err}
	}
	done := r.close
	r.close = func() { r.side.Close(); done() }
	return r, ctx, nil
}

// loadRules loads the rules. A mistake in them ends the command before anything is
// touched: unlike a boot, it need not act.
func (r *liveRun) loadRules() (err error) {
	r.evaluator, err = loadPolicy(r.config)
	return err
}

func (r *liveRun) collect(ctx context.Context) situation {
	return collect(ctx, r.config, r.side, policy.PhaseApply)
}

// decide decides on what was collected, for the profiles in running as if somebody
// wanted them to run.
func (r *liveRun) decide(ctx context.Context, s situation, running []string) policy.Decisions {
	in := s.input
	if len(running) > 0 {
		in.Profiles = maps.Clone(in.Profiles)
		for _, name := range running {
			in.Profiles[name] = wanting(in.Profiles[name])
		}
	}
	d := engine.Decide(ctx, r.evaluator, in, engine.OnRuleError(r.config.OnRuleError))
	noteVolume(&d, s)
	r.report.Policy, r.report.Skip, r.report.Alarms = &d.Policy, append([]policy.Contribution{}, d.Skip...), append([]policy.Alarm{}, d.Alarms...)
	return d
}

// wanting are the facts of a profile whose operator wants it to run.
func wanting(facts policy.Facts) policy.Facts {
	prior := map[string]json.RawMessage{}
	if json.Unmarshal(facts["prior_state"], &prior) != nil || prior == nil {
		prior = map[string]json.RawMessage{}
	}
	prior["status"], prior["desired"] = json.RawMessage(`"recorded"`), json.RawMessage(`"running"`)
	delete(prior, "error")
	text, err := json.Marshal(prior)
	if err != nil {
		return facts // raw messages that were decoded encode again
	}
	facts = maps.Clone(facts)
	facts["prior_state"] = text
	return facts
}

// makeSo plans what the decisions ask for, does it, and adds it to the report: first
// what is on the volume, so that no gateway starts before the files of a dead one are
// gone.
func (r *liveRun) makeSo(ctx context.Context, d policy.Decisions) {
	operations, err := plan(ctx, r.executor, &d)
	r.report.Alarms = append([]policy.Alarm{}, d.Alarms...)
	r.report.Pending = append([]string{}, r.executor.Pending()...)
	if err != nil {
		r.report.fail("", err)
		return
	}
	r.execute(ctx, operations)
}

func (r *liveRun) execute(ctx context.Context, operations []policy.Operation) {
	results := r.side.Execute(ctx, operations)
	results = append(results, r.executor.Execute(ctx, operations)...)
	r.results = append(r.results, results...)
	for _, result := range results {
		r.report.add(result)
	}
}

// slots looks at the scan directory again.
func (r *liveRun) slots(ctx context.Context) seenSlots {
	fact, err := (&s6.Source{ScanDir: r.config.ScanDir}).Collect(ctx)
	if err != nil {
		return readSlots(nil)
	}
	text, err := json.Marshal(fact)
	if err != nil {
		return readSlots(nil)
	}
	return readSlots(text)
}

// finish adds how the profiles are now, writes the ledger where something was done,
// prints the report, and returns what the exit status says of it.
func (r *liveRun) finish(ctx context.Context, cmd *cobra.Command, s situation, d policy.Decisions) error {
	now := r.slots(ctx)
	for name, p := range r.report.Profiles {
		slot, there := now.profiles[name]
		p.see(now, slot, there)
		r.report.Profiles[name] = p
	}
	r.record(ctx, s, d)
	if err := writeLive(cmd.OutOrStdout(), r.config.Output, r.report); err != nil {
		return &exitError{exitProfile, err}
	}
	return r.report.exit()
}

// record adds to the ledger what was done; a run that did nothing leaves no line.
func (r *liveRun) record(ctx context.Context, s situation, d policy.Decisions) {
	changed := map[string]bool{}
	for _, result := range r.results {
		if result.Done || result.Err != nil {
			changed[result.Operation.Profile] = true
		}
	}
	for name, p := range r.report.Profiles {
		if p.Recorded {
			changed[name] = true
		}
	}
	if len(changed) == 0 {
		return
	}
	some := d
	some.Profiles = map[string]policy.Decision{}
	for name := range changed {
		if decision, ok := d.Profiles[name]; ok {
			some.Profiles[name] = decision
		}
	}
	text, err := ledgerText(s, some, r.results, r.report.Errors, r.command)
	if err == nil {
		err = r.side.AppendLog(ctx, "container-boot.jsonl", text)
	}
	if err != nil {
		r.report.fail("", fmt.Errorf("the ledger: %w", err))
	}
}

// resolve finds profiles by name among those of the volume and those that have a
// slot. A name that is neither is an error that says which one was probably meant.
func resolve(names []string, profiles []string, slots seenSlots) error {
	known := map[string]bool{}
	for _, name := range profiles {
		known[name] = true
	}
	for name := range slots.profiles {
		known[name] = true
	}
	_, err := only(known, names)
	return err
}

// diedCommand is how a finish script calls this program back. The place where it is
// installed is better than the one that it was called at, which may be gone later.
func diedCommand(c config) []string {
	program := c.S6.Program
	if program == "" {
		program = installedProgram
		if _, err := os.Stat(program); err != nil {
			program = calledProgram()
		}
	}
	if program == "" {
		return nil
	}
	return []string{program, diedName, "--home", c.Home, "--user", c.User, "--"}
}

// installedProgram is where docs/operations.md puts it.
const installedProgram = "/usr/local/bin/hermes-reconcile"

// calledProgram is the path of this program under the name that it was called by.
func calledProgram() string {
	name := os.Args[0]
	if !strings.Contains(name, "/") {
		found, err := exec.LookPath(name)
		if err != nil {
			found, _ = os.Executable()
		}
		name = found
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return ""
	}
	return path
}

func sortedNames[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
