package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"hermes-reconcile/policy"
)

// seenSlots is what status needs of the fact "s6".
type seenSlots struct {
	Status    string
	Running   *bool
	SvscanPID int `json:"svscan_pid"`
	Slots     map[string]seenSlot

	profiles map[string]seenSlot // the same by profile
}

type seenSlot struct {
	Profile    string
	Kind       string
	Status     string
	Error      string
	DownFile   bool `json:"down_file"`
	Supervised *bool
	Up         bool
	Ours       bool
	PID        int
	StartTime  int64 `json:"start_time"`
	Changed    bool
	Waiting    int64 `json:"waiting_until_unix"`
	SinceUnix  int64 `json:"since_unix"`
	ExitCode   *int  `json:"exit_code"`
	Signal     int
	Deaths     int
}

// readSlots reads the fact; one that says nothing is one that is not known.
func readSlots(fact json.RawMessage) seenSlots {
	var s seenSlots
	if json.Unmarshal(fact, &s) != nil {
		s = seenSlots{}
	}
	s.Status = cmp.Or(s.Status, policy.StatusFailed)
	s.profiles = make(map[string]seenSlot, len(s.Slots))
	for _, slot := range s.Slots {
		s.profiles[slot.Profile] = slot
	}
	return s
}

// known says that a slot that is not among them is not there.
func (s seenSlots) known() bool {
	return s.Status == policy.StatusRecorded || s.Status == policy.StatusMissing
}

// seen adds to a profile what stands in the scan directory. Up is only what the
// lock of a supervisor, its status and the process agree on; the fact has compared
// them.
func (p profileStatus) seen(all seenSlots, slot seenSlot, there bool) profileStatus {
	if !there {
		p.Slot, p.Now = "none", nothing
		if !all.known() {
			p.Slot, p.Now = unknown, unknown
		}
		return p
	}
	p.Slot = "up"
	if slot.DownFile {
		p.Slot = "down"
	}
	if slot.Kind != "directory" {
		p.Slot, p.Now, p.slotProblem = unknown, unknown, "its slot is a "+slot.Kind+", want a directory"
		return p
	}
	p.Now = slot.now()
	if p.Now == unknown {
		p.slotProblem = cmp.Or(slot.Error, "its status file makes no sense")
		return p
	}
	if p.Now == nowNobody {
		return p
	}
	p.Restarts, p.ExitCode, p.Signal, p.sinceUnix = slot.Deaths, slot.ExitCode, slot.Signal, slot.SinceUnix
	if slot.SinceUnix > 0 {
		p.Since = time.Unix(slot.SinceUnix, 0).UTC().Format(time.RFC3339)
	}
	switch p.Now {
	case nowUp:
		p.PID, p.ServedBy, p.Changed = slot.PID, servedSelf, slot.Changed
	case nowWaiting:
		p.Until = time.Unix(slot.Waiting, 0).UTC().Format(time.RFC3339)
	}
	return p
}

func (s seenSlot) now() string {
	switch {
	case s.Supervised == nil:
		return unknown
	case !*s.Supervised:
		return nowNobody
	case s.Status == policy.StatusInvalid:
		return unknown
	case s.Up && s.Waiting > 0:
		return nowWaiting
	case s.Up:
		return nowUp
	}
	return nowDown
}

// describeNow is the column NOW.
func (p profileStatus) describeNow(now time.Time) string {
	switch p.Now {
	case nowUp:
		text := fmt.Sprintf("up pid %d", p.PID)
		if p.sinceUnix > 0 {
			text += " for " + spell(now.Sub(time.Unix(p.sinceUnix, 0)))
		}
		if p.Changed {
			text += ", older run script"
		}
		return fmt.Sprintf("%s, restarts %d", text, p.Restarts)
	case nowWaiting:
		return fmt.Sprintf("waiting until %s, restarts %d", p.Until, p.Restarts)
	case nowDown:
		if p.Restarts > 0 {
			return fmt.Sprintf("down, %s, restarts %d", p.lastExit(), p.Restarts)
		}
	}
	return p.Now
}

// lastExit says how the gateway ended last.
func (p profileStatus) lastExit() string {
	switch {
	case p.Signal != 0:
		return fmt.Sprintf("killed by signal %d", p.Signal)
	case p.ExitCode != nil:
		return fmt.Sprintf("exit %d", *p.ExitCode)
	}
	return "ended"
}

// notUp says that a profile that is wanted is not up, or is not seen to be.
func (p profileStatus) notUp(s supervisorStatus) string {
	if p.Now == unknown {
		return "and whether it is cannot be seen: " + p.whyNotUp(s)
	}
	return "and it is not: " + p.whyNotUp(s)
}

// whyNotUp says what keeps a profile that is wanted from being up.
func (p profileStatus) whyNotUp(s supervisorStatus) string {
	stopped := s.Running != nil && !*s.Running
	switch {
	case p.slotProblem != "":
		return line(p.slotProblem)
	case p.Slot == unknown:
		return "the scan directory " + s.ScanDir + " is " + s.Status
	case p.Slot == "none":
		return "it has no slot"
	case p.Now == nowNobody && stopped:
		return "nobody supervises its slot, no s6-svscan runs on " + s.ScanDir
	case p.Now == nowNobody:
		return "nobody supervises its slot, see hermes-reconcile rescan"
	case p.Now == nowWaiting:
		return "it waits until " + p.Until + ": a delay of the rules, or a pause after a death"
	case p.Slot == "down" && p.Restarts == 0:
		return "its slot has a down file"
	case p.Restarts > 0:
		return fmt.Sprintf("down, %s, restarts %d", p.lastExit(), p.Restarts)
	}
	return "its supervisor has not started it, or was told to keep it down"
}
