package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/google/renameio/v2"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
)

type overridesFact struct {
	read.Outcome
	Profiles map[string][]override `json:"profiles" about:"overrides by profile" of:"overrides of one profile|one override"`
}

type override struct {
	Rule   string `json:"rule" about:"the rule package whose holds do not count"`
	Code   string `json:"code,omitempty" about:"the code of the hold"`
	Until  string `json:"until,omitempty" about:"when the override ends, as RFC 3339; absent: with the next start of the container"`
	AtUnix int64  `json:"at_unix" about:"when the override was given, in seconds since 1970"`
	Active bool   `json:"active" about:"the override has not ended"`
}

type pausesFact struct {
	read.Outcome
	policy.Pauses
}

// overrides are the holds that an operator has set aside. They count only when no other
// user could have written them.
func (c Config) overrides() overridesFact {
	all, out := state[[]policy.Override](c.StateDir, policy.OverridesFile)
	return describeOverrides(all, out, c.Now(), containerStart(c.Proc))
}

// pauses are the gateways that root has paused. They count only when no other user could have
// written them.
func (c Config) pauses() pausesFact {
	all, out := state[policy.Pauses](c.StateDir, policy.PausesFile)
	return describePauses(all, out, c.Now())
}

// KeepOverrides adds overrides of the present start of the container to the list in the
// state directory, and drops those that have ended. It returns the fact "overrides" as it is
// then. See keep.
func KeepOverrides(stateDir string, more []policy.Override, dryRun bool) (json.RawMessage, error) {
	start, now := containerStart("/proc"), time.Now()
	all, err := keep(stateDir, policy.OverridesFile, dryRun, func(all *[]policy.Override) {
		for _, o := range more {
			o.Start = start
			*all = append(*all, o)
		}
		*all = slices.DeleteFunc(*all, func(o policy.Override) bool { return !o.Active(now, start) })
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(describeOverrides(all, read.Recorded, now, start))
}

// KeepPauses changes the pauses in the state directory. It returns the fact "pauses" as it is
// then. See keep.
func KeepPauses(stateDir string, change func(*policy.Pauses), dryRun bool) (json.RawMessage, error) {
	now := time.Now()
	all, err := keep(stateDir, policy.PausesFile, dryRun, func(all *policy.Pauses) {
		*all = all.At(now)
		change(all)
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(describePauses(all, read.Recorded, now))
}

func state[T any](dir, name string) (all T, out read.Outcome) {
	if dir == "" {
		return all, read.Outcome{Status: policy.StatusMissing}
	}
	data, out := read.Trusted(filepath.Join(dir, name), os.Geteuid())
	if out.Status != "" {
		return all, out
	}
	return parseState[T](data)
}

func parseState[T any](data []byte) (all T, out read.Outcome) {
	if problem := policy.JSONExcess(data); problem != "" {
		return all, read.Invalid("%s", problem)
	}
	if json.Unmarshal(data, &all) != nil {
		return *new(T), read.Invalid("not the JSON that belongs there")
	}
	return all, read.Recorded
}

// keep changes a file of the state directory and returns what it has then. It replaces the file
// as a whole, so that no fact ever sees a part of it. The lock of the scan directory keeps two
// callers apart. An unreadable file is an error, because a new one would lose it. So is a file
// or a directory that another user could have written. A dry run writes nothing.
func keep[T any](dir, name string, dryRun bool, change func(*T)) (all T, err error) {
	if dir == "" {
		return all, errors.New("there is nowhere to keep it: state_dir is empty")
	}
	if !dryRun {
		if err := trust.MakeDirectory(dir, trust.Only(os.Geteuid())); err != nil {
			return all, onlyRoot(err)
		}
	}
	path := filepath.Join(dir, name)
	all, out := state[T](dir, name)
	if out.Error != "" {
		return all, fmt.Errorf("%s: %s; remove the file to begin anew", path, out.Error)
	}
	change(&all)
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil || dryRun {
		return all, err
	}
	return all, onlyRoot(renameio.WriteFile(path, append(text, '\n'), 0o644, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o644)))
}

// onlyRoot adds to a permission error who may decide what root starts.
func onlyRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: only root, or the owner of the state directory, sets a hold of the operator's rules aside, pauses and resumes", err)
	}
	return err
}

// describeOverrides describes the list. start identifies the present start of the container, and
// is empty when it is unknown.
func describeOverrides(all []policy.Override, out read.Outcome, now time.Time, start string) overridesFact {
	f := overridesFact{out, map[string][]override{}}
	for _, o := range all {
		if o.Profile == "" || o.Rule == "" {
			return overridesFact{read.Invalid("an override without a profile or a rule"), map[string][]override{}}
		}
		name := read.Bounded(o.Profile, 255)
		f.Profiles[name] = append(f.Profiles[name], override{
			Rule: read.Bounded(o.Rule, 255), Code: read.Bounded(o.Code, 256), Until: read.Bounded(o.Until, 64), AtUnix: o.AtUnix,
			Active: o.Active(now, start),
		})
	}
	if len(all) == 0 && out == read.Recorded {
		f.Status = policy.StatusEmpty
	}
	return f
}

func describePauses(all policy.Pauses, out read.Outcome, now time.Time) pausesFact {
	f := pausesFact{out, all.At(now)}
	if f.Others == nil && len(f.Profiles) == 0 && out == read.Recorded {
		f.Status = policy.StatusEmpty
	}
	return f
}

// containerStart identifies the present start of the container: the boot of the kernel, and
// when PID 1 started, in clock ticks. It is empty when it is unknown.
func containerStart(proc read.Proc) string {
	boot := proc.Kernel("random/boot_id")
	first, err := proc.Process(1)
	if boot == "" || err != nil {
		return ""
	}
	return boot + "/" + strconv.FormatUint(first.Started, 10)
}
