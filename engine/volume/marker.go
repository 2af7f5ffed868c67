package volume

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
)

// plannedStop is the marker as upstream's gateway reads it.
type plannedStop struct {
	TargetPID       int    `json:"target_pid"`
	TargetStartTime *int64 `json:"target_start_time"` // clock ticks of /proc; null when unknown
	StopperPID      int    `json:"stopper_pid"`
	WrittenAt       string `json:"written_at"`
}

// isoFormat is how Python's isoformat writes a time in UTC.
const isoFormat = "2006-01-02T15:04:05.000000-07:00"

// MarkPlannedStop writes the marker that makes a gateway record its end as an operator's
// stop rather than a crash. The gateway is the process with that pid and that start time in
// clock ticks of /proc, or 0 when unknown. An older marker is replaced.
func (h *Home) MarkPlannedStop(ctx context.Context, profile string, pid int, startTime int64, stopper int, now time.Time) error {
	marker := plannedStop{TargetPID: pid, StopperPID: stopper, WrittenAt: now.UTC().Format(isoFormat)}
	if startTime != 0 {
		marker.TargetStartTime = &startTime
	}
	return h.inProfile(ctx, profile, policy.PlannedStopFile, func(dir *directory) error {
		return dir.writeJSON(policy.PlannedStopFile, marker, renameOver)
	})
}

// WriteHold records that a gateway has used up its budget of deaths. It sets hold.Files to
// the present identities of the files whose change ends the hold, and replaces an older
// record.
func (h *Home) WriteHold(ctx context.Context, profile string, hold policy.RestartHold) error {
	return h.inProfile(ctx, profile, policy.RestartHoldFile, func(dir *directory) error {
		hold.Files = map[string]string{}
		for _, name := range policy.HoldFiles() {
			info, err := dir.Lstat(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			hold.Files[name] = policy.Identity(info)
		}
		return dir.writeJSON(policy.RestartHoldFile, hold, renameOver)
	})
}

// writeJSON writes a file, which rename gives its name, and makes the directory that holds
// the file if it is missing.
func (d *directory) writeJSON(name string, value any, rename func(fd beneath.Dir, temp, name string) error) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return d.use("write", name, func(fd beneath.Dir) error {
		if parent := path.Dir(name); parent != "." {
			if err := fd.Mkdir(parent, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
		return fd.InParent(name, func(parent beneath.Dir, last string) error {
			return writeFile(parent, last, append(text, '\n'), stateMode, func(temp string) error { return rename(parent, temp, last) })
		})
	})
}

// RemoveHold removes the record that WriteHold makes, and reports whether it existed.
func (h *Home) RemoveHold(ctx context.Context, profile string) (was bool, err error) {
	err = h.inProfile(ctx, profile, policy.RestartHoldFile, func(dir *directory) (err error) {
		was, err = dir.remove(policy.RestartHoldFile)
		return err
	})
	return was, err
}
