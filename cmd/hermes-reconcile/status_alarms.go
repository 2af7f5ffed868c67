package main

import (
	"encoding/json"
	"fmt"
	"slices"

	"hermes-reconcile/policy"
)

// The codes of the alarms of status.
const (
	codeNotUp     = "not_up"         // wanted and not up
	codeNotWanted = "not_wanted"     // up and not wanted
	codeNobody    = "not_supervised" // a slot without a supervisor
	codeNotServed = "not_served"     // the root profile should serve it and does not
	codeOddSlot   = "odd_slot"       // what stands at the place of a slot is none
	codeStray     = "stray_gateway"  // its lock is held, and its slot is not up
	codeNoSvscan  = "no_svscan"      // nobody works on the scan directory
	codeScanDir   = "scandir"        // the scan directory is not there, or cannot be read
)

// heldByRoot are the codes of the holds that leave a profile to the gateway of the
// root profile.
var heldByRoot = []string{"multiplexed", "served_by"}

// multiplexing is what status needs of who serves whom.
type multiplexing struct {
	on     bool
	served []string // the profiles that the root's last gateway says it serves; nil where it does not say
}

// serve notes which profiles the gateway of the root profile serves.
func (d *statusDocument) serve(s situation, decisions policy.Decisions) multiplexing {
	var m multiplexing
	var flag struct{ On bool }
	var root struct {
		Served []string `json:"served_profiles"`
	}
	m.on = json.Unmarshal(s.input.Container["multiplex"], &flag) == nil && flag.On
	if json.Unmarshal(s.input.Profiles[policy.RootProfile]["prior_state"], &root) == nil {
		m.served = root.Served
	}
	for name, p := range d.Profiles {
		if m.on && p.Now != nowUp && p.Wanted == wantedDown && leftToRoot(decisions.Profiles[name]) {
			p.ServedBy = policy.RootProfile
			d.Profiles[name] = p
		}
	}
	return m
}

func leftToRoot(d policy.Decision) bool {
	return slices.ContainsFunc(d.Contributions, func(c policy.Contribution) bool {
		return c.Set == policy.SetHold && c.Counts() && slices.Contains(heldByRoot, c.Code)
	})
}

// ownAlarms are those about what is wanted and what runs, in the order of the
// profiles.
func (d *statusDocument) ownAlarms(m multiplexing) []policy.Alarm {
	alarms := d.supervisorAlarms()
	for _, name := range d.names() {
		for _, a := range d.Profiles[name].alarms(d.Supervisor) {
			a.Profile = name
			alarms = append(alarms, a)
		}
		if a, ok := d.notServed(name, m); ok {
			alarms = append(alarms, a)
		}
	}
	return alarms
}

func (d *statusDocument) supervisorAlarms() []policy.Alarm {
	s := d.Supervisor
	switch {
	case s.Status == policy.StatusMissing:
		return []policy.Alarm{{Code: codeScanDir, Reason: "there is no scan directory " + s.ScanDir}}
	case s.Status != policy.StatusRecorded:
		return []policy.Alarm{{Code: codeScanDir, Reason: fmt.Sprintf("the scan directory %s is %s: what runs is not known", s.ScanDir, s.Status)}}
	case s.Running != nil && !*s.Running:
		return []policy.Alarm{{Code: codeNoSvscan, Reason: "no s6-svscan runs on " + s.ScanDir + ": a supervisor that ends is not started again"}}
	}
	return nil
}

// alarms are those about one profile; the caller adds its name.
func (p profileStatus) alarms(s supervisorStatus) []policy.Alarm {
	var alarms []policy.Alarm
	switch {
	case p.Wanted == wantedUp && p.Now != nowUp:
		alarms = append(alarms, policy.Alarm{Code: codeNotUp, Reason: "wanted up, " + p.notUp(s)})
	case p.Now == nowWaiting && (p.Wanted == wantedDown || p.Wanted == nothing):
		alarms = append(alarms, policy.Alarm{Code: codeNotWanted, Reason: fmt.Sprintf("about to start, and not wanted: %s: %s", p.Code, p.Reason)})
	case p.Now == nowUp && (p.Wanted == wantedDown || p.Wanted == nothing):
		alarms = append(alarms, policy.Alarm{Code: codeNotWanted, Reason: fmt.Sprintf("up (pid %d), and not wanted: %s: %s", p.PID, p.Code, p.Reason)})
	case p.slotProblem != "":
		alarms = append(alarms, policy.Alarm{Code: codeOddSlot, Reason: p.slotProblem})
	}
	if p.Wanted == unknown && p.Code == codeFacts {
		alarms = append(alarms, policy.Alarm{Code: codeFacts, Reason: "what is wanted is not known: " + p.Reason})
	}
	if p.Now == nowNobody && p.Wanted != wantedUp {
		alarms = append(alarms, policy.Alarm{Code: codeNobody, Reason: "nobody supervises its slot: it can be neither started nor watched"})
	}
	if p.lockHeld && p.Now != nowUp && p.Now != unknown {
		alarms = append(alarms, policy.Alarm{Code: codeStray, Reason: "somebody holds its gateway.lock: a gateway of it runs outside of its slot, here or in another container"})
	}
	return alarms
}

// notServed finds the profile that a rule would start, that is left to the gateway
// of the root profile, and that this gateway does not serve: nobody answers for it,
// and no process is missing.
func (d *statusDocument) notServed(name string, m multiplexing) (policy.Alarm, bool) {
	p := d.Profiles[name]
	if p.ServedBy != policy.RootProfile || !p.asked {
		return policy.Alarm{}, false
	}
	root := d.Profiles[policy.RootProfile]
	a := policy.Alarm{Profile: name, Code: codeNotServed}
	switch {
	case root.Now != nowUp && root.Now != unknown:
		a.Reason = "it should run and be served by default, and default is not up"
	case m.served != nil && !slices.Contains(m.served, name):
		a.Reason = "it should run and be served by default, and is not in default's served_profiles"
	default:
		return a, false
	}
	return a, true
}
