package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/facts"
	"hermes-reconcile/policy"
)

// ruleRestartBudget is the built-in rule whose holds are records on the volume.
const ruleRestartBudget = "reconcile.rules.restart_budget"

// liftHolds ends the holds of profiles: the record of a used-up budget is removed, and
// for a rule's hold an override is kept. It says whether anything changed.
func (r *liveRun) liftHolds(ctx context.Context, d policy.Decisions, names []string) (changed bool) {
	var overrides []policy.Override
	now := policy.NewNow(time.Now())
	for _, name := range names {
		holds := engine.Holds(d.Profiles[name], now)
		for _, hold := range holds {
			if hold.Rule != ruleRestartBudget {
				overrides = append(overrides, policy.Override{
					Profile: name, Rule: hold.Rule, Code: hold.Code, Until: hold.Until, AtUnix: now.UnixNS / int64(time.Second),
					Start: facts.ContainerStart("/proc"), Command: r.command,
				})
				continue
			}
			done, err := r.side.Change(ctx, engine.Change{Kind: engine.RemoveHold, Profile: name})
			if err != nil {
				r.report.fail(name, fmt.Errorf("release it from %s: %w", hold.Code, err))
				continue
			}
			changed = changed || done.Changed
			r.lifted(name, hold)
		}
	}
	if len(overrides) == 0 {
		return changed
	}
	if err := keepOverrides(r.config.StateDir, overrides); err != nil {
		for _, o := range overrides {
			r.report.fail(o.Profile, fmt.Errorf("set the hold of %s aside: %w", o.Rule, err))
		}
		return changed
	}
	for _, o := range overrides {
		r.lifted(o.Profile, policy.Contribution{Rule: o.Rule, Code: o.Code})
	}
	return true
}

func (r *liveRun) lifted(name string, hold policy.Contribution) {
	r.note(name, fmt.Sprintf("the hold of %s (%s) is set aside", hold.Rule, hold.Code))
	p := r.report.Profiles[name]
	p.Recorded = true
	r.report.Profiles[name] = p
}

// sayDisbelief reports that the list which was just written does not count, since
// others could have written it too.
func (r *liveRun) sayDisbelief(s situation) {
	var fact struct{ Status, Error string }
	if json.Unmarshal(s.input.Container["overrides"], &fact) == nil && fact.Status == policy.StatusUnreadable {
		r.report.fail("", fmt.Errorf("%s in %s does not count: %s", policy.OverridesFile, r.config.StateDir, fact.Error))
	}
}

// keepOverrides adds to the list in the state directory and drops what has ended. It
// replaces the file as a whole; runs of ours are kept apart by the lock of the scan
// directory.
func keepOverrides(stateDir string, more []policy.Override) error {
	if stateDir == "" {
		return errors.New("there is nowhere to keep it: state_dir is empty")
	}
	path := filepath.Join(stateDir, policy.OverridesFile)
	all, err := readOverrides(path)
	if err != nil {
		return err
	}
	start, now := facts.ContainerStart("/proc"), time.Now()
	all = slices.DeleteFunc(append(all, more...), func(o policy.Override) bool { return !o.Active(now, start) })
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		return onlyRoot(err)
	}
	return onlyRoot(renameio.WriteFile(path, append(text, '\n'), 0o644, renameio.WithTempDir(stateDir), renameio.WithStaticPermissions(0o644)))
}

// readOverrides reads the list; one that makes no sense is an error, since writing a
// new one would lose it.
func readOverrides(path string) ([]policy.Override, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []policy.Override
	if err == nil {
		defer file.Close()
		err = decodeOverrides(file, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove it to begin anew", path, err)
	}
	return all, nil
}

// maxOverrides bounds what is read of the list.
const maxOverrides = 1 << 20

func decodeOverrides(file *os.File, all *[]policy.Override) error {
	info, err := file.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return policy.ErrNotRegular
	case info.Size() > maxOverrides:
		return fmt.Errorf("it is larger than %d bytes", maxOverrides)
	}
	return json.NewDecoder(file).Decode(all)
}

// onlyRoot says who may.
func onlyRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: a hold of the operator's rules is set aside by root only, or by who owns the state directory", err)
	}
	return err
}
