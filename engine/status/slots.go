package status

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// seen adds to a profile how its slot is.
func (p Profile) seen(all policy.Slots, slot policy.Slot, exists bool) Profile {
	p.Slot, p.Now = all.Words(slot, exists)
	switch {
	case !exists:
		return p
	case slot.Kind != "directory":
		p.slotProblem = "its slot is a " + slot.Kind + ", want a directory"
		return p
	case p.Now == policy.NowUnknown:
		p.slotProblem = cmp.Or(slot.Error, "its status file is not valid")
		return p
	case p.Now == policy.NowNobody:
		return p
	}
	p.Restarts, p.ExitCode, p.Signal, p.recent = slot.Deaths, slot.ExitCode, slot.Signal, slot.RecentDeaths
	if slot.SinceUnix > 0 {
		p.Since = time.Unix(slot.SinceUnix, 0).UTC()
	}
	switch p.Now {
	case policy.NowUp:
		p.PID, p.ServedBy, p.Changed = slot.PID, ServedSelf, slot.Changed
	case policy.NowWaiting:
		p.Until = time.Unix(slot.WaitingUntilUnix, 0).UTC()
	}
	return p
}

// DescribeNow describes how a profile is.
func (p Profile) DescribeNow() string {
	switch {
	case p.Now == policy.NowUp && p.Changed:
		return fmt.Sprintf("up, pid %d, older run script", p.PID)
	case p.Now == policy.NowUp:
		return fmt.Sprintf("up, pid %d", p.PID)
	case p.Now == policy.NowDown && p.Restarts > 0:
		return "down, " + strings.TrimPrefix(p.lastExit(), "killed by ")
	}
	return string(p.Now)
}

// lastExit describes how the gateway ended last.
func (p Profile) lastExit() string {
	switch {
	case p.Signal != 0:
		return fmt.Sprintf("killed by signal %d", p.Signal)
	case p.ExitCode != nil:
		return fmt.Sprintf("exit %d", *p.ExitCode)
	}
	return "ended"
}

// isLooping reports whether a gateway that is wanted ends again and again.
func (p Profile) isLooping() bool { return p.Wanted == WantedUp && p.recent >= policy.LoopDeaths }

func (p Profile) describeLoop() string {
	return fmt.Sprintf("in a crash loop: it ended %d times in the last ten minutes, last: %s", p.recent, p.lastExit())
}

// notUp describes a profile that is wanted and is not up, or is not seen to be.
func (p Profile) notUp(s Supervisor) string {
	if p.Now == policy.NowUnknown {
		return "and whether it is cannot be seen: " + p.whyNotUp(s)
	}
	return "and it is not: " + p.whyNotUp(s)
}

// whyNotUp describes what keeps a profile that is wanted from being up.
func (p Profile) whyNotUp(s Supervisor) string {
	stopped := s.Running != nil && !*s.Running
	switch {
	case p.slotProblem != "":
		return p.slotProblem
	case p.Slot == policy.SlotUnknown:
		return "the scan directory " + s.ScanDir + " is " + s.Status
	case p.Slot == policy.SlotNone:
		return "it has no slot"
	case p.Now == policy.NowNobody && stopped:
		return "nobody supervises its slot, no s6-svscan runs on " + s.ScanDir
	case p.Now == policy.NowNobody:
		return "nobody supervises its slot, see hermes-reconcile rescan"
	case p.Now == policy.NowWaiting:
		return "it waits until " + p.Until.Format(time.RFC3339) + ": a delay of the rules, or a pause after a death"
	case p.Slot == policy.SlotDown && p.Restarts == 0:
		return "its slot has a down file"
	case p.Restarts > 0:
		return fmt.Sprintf("down, %s, restarts %d", p.lastExit(), p.Restarts)
	}
	return "its supervisor has not started it, or was told to keep it down"
}

// Spell writes a duration as an operator would say it, in the unit that has two digits.
func Spell(d time.Duration) string {
	switch d = max(0, d); {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// expecting adds to a profile what will change by itself: its start after a wait, else the end
// of the last hold, or an earlier recheck of its own.
func (p Profile) expecting(name string, d policy.Decisions, now policy.Now) Profile {
	if !p.Until.IsZero() {
		p.Next, p.NextReason = p.Until, "starts"
		return p
	}
	for _, c := range engine.Holds(d.Profiles[name], now) {
		at, err := time.Parse(time.RFC3339, c.Until)
		if err != nil { // it has no end
			p.Next, p.NextReason = time.Time{}, ""
			break
		}
		if at.After(p.Next) {
			p.Next, p.NextReason = at.UTC(), "hold ends, "+cmp.Or(c.Code, c.Rule)
		}
	}
	for _, c := range d.Recheck {
		at, err := time.Parse(time.RFC3339, c.At)
		if err == nil && c.Profile == name && (p.Next.IsZero() || at.Before(p.Next)) {
			p.Next, p.NextReason = at.UTC(), "decided again, "+cmp.Or(c.Code, c.Reason)
		}
	}
	return p
}
