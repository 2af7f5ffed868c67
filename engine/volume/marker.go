package volume

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// maxMarkerSize is how much of a marker is read.
const maxMarkerSize = 4096

// plannedStop is the marker as upstream's gateway reads it.
type plannedStop struct {
	TargetPID       int    `json:"target_pid"`
	TargetStartTime *int64 `json:"target_start_time"` // clock ticks of /proc; null when unknown
	StopperPID      int    `json:"stopper_pid"`
	WrittenAt       string `json:"written_at"`
}

// isoFormat is how Python's isoformat writes a time in UTC.
const isoFormat = "2006-01-02T15:04:05.000000-07:00"

// MarkPlannedStop writes the marker with which the gateway of that pid and start
// time, in clock ticks of /proc or 0 when unknown, records an operator's stop
// rather than a crash. It replaces an older marker.
func (h *Home) MarkPlannedStop(ctx context.Context, profile string, pid int, startTime int64, stopper int, now time.Time) error {
	marker := plannedStop{TargetPID: pid, StopperPID: stopper, WrittenAt: now.UTC().Format(isoFormat)}
	if startTime != 0 {
		marker.TargetStartTime = &startTime
	}
	text, err := json.Marshal(marker)
	if err != nil {
		return err
	}
	return h.inProfile(ctx, profile, policy.PlannedStopFile, func(dir *directory) error {
		return dir.use("write", policy.PlannedStopFile, func(fd int) error {
			return writeOver(fd, policy.PlannedStopFile, append(text, '\n'), stateMode)
		})
	})
}

// UnmarkPlannedStop removes the marker if it names that pid. What names another,
// or is no marker, stays; so none at all is not an error.
func (h *Home) UnmarkPlannedStop(ctx context.Context, profile string, pid int) error {
	return h.inProfile(ctx, profile, policy.PlannedStopFile, func(dir *directory) error {
		f, err := dir.Open(policy.PlannedStopFile)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, policy.ErrNotRegular) && dir.broken == nil {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		text, err := readLimited(f, maxMarkerSize)
		if err != nil {
			return err
		}
		var marker struct {
			TargetPID int `json:"target_pid"`
		}
		if json.Unmarshal(text, &marker) != nil || marker.TargetPID != pid {
			return nil
		}
		return dir.use("unlink", policy.PlannedStopFile, func(fd int) error { return removeIfThere(fd, policy.PlannedStopFile) })
	})
}

// WriteHold records that a gateway has used up its budget of deaths, together with
// what the files are now whose change ends the hold; hold.Files is not looked at.
// It replaces an older record.
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
			hold.Files[name] = Identity(info)
		}
		text, err := json.Marshal(hold)
		if err != nil {
			return err
		}
		return dir.use("write", policy.RestartHoldFile, func(fd int) error {
			return atParentMade(fd, policy.RestartHoldFile, func(parent int, last string) error {
				return writeOver(parent, last, append(text, '\n'), stateMode)
			})
		})
	})
}

// atParentMade is atParent, and makes the directory that holds name where there is
// none.
func atParentMade(fd int, name string, f func(parent int, last string) error) error {
	err := atParent(fd, name, f)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir := name[:len(name)-len(lastPart(name))-1]
	if err := unix.Mkdirat(fd, dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return atParent(fd, name, f)
}

// RemoveHold removes the record of used-up restarts and says whether there was
// one.
func (h *Home) RemoveHold(ctx context.Context, profile string) (was bool, err error) {
	err = h.inProfile(ctx, profile, policy.RestartHoldFile, func(dir *directory) error {
		err := dir.use("unlink", policy.RestartHoldFile, func(fd int) error {
			return atParent(fd, policy.RestartHoldFile, func(parent int, last string) error {
				return unix.Unlinkat(parent, last, 0)
			})
		})
		was = err == nil
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return was, err
}
