package status

import (
	"fmt"
	"slices"
	"strings"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// The codes of the alarms of the status.
const (
	codeNotUp     = "not_up"           // wanted and not up
	codeNotWanted = "not_wanted"       // up and not wanted
	CodeNobody    = "not_supervised"   // a slot without a supervisor
	codeNotServed = "not_served"       // the root profile should serve it and does not
	codeOddSlot   = "odd_slot"         // something else stands in the place of a slot
	codeStray     = "stray_gateway"    // its lock is held, and its slot is not up
	codeFacts     = "facts_incomplete" // what decides is not known of one profile
	codeNoSvscan  = "no_svscan"        // no s6-svscan works on the scan directory
	codeScanDir   = "scandir"          // the scan directory is missing, or cannot be read
	CodeLoop      = "crash_loop"       // wanted, and its gateway ends again and again
	CodeWatch     = "watch_not_running"
	codeLog       = "decision_log" // events were dropped, or wait although they should not
)

// heldByRoot are the codes of the holds that leave a profile to the gateway of the root
// profile.
var heldByRoot = []string{"multiplexed", "served_by"}

// serve notes which profiles are left to the gateway of the root profile.
func (d *Document) serve(s engine.Situation, decisions policy.Decisions) {
	on := policy.MultiplexOn(s.Input.Container)
	for name, p := range d.Profiles {
		if on && p.Now != policy.NowUp && p.Wanted == WantedDown && leftToRoot(decisions.Profiles[name]) {
			p.ServedBy = policy.RootProfile
			d.Profiles[name] = p
		}
	}
}

func leftToRoot(d policy.Decision) bool {
	return slices.ContainsFunc(d.Contributions, func(c policy.Contribution) bool {
		return c.Set == policy.SetHold && c.Counts() && slices.Contains(heldByRoot, c.Code)
	})
}

// ownAlarms returns the alarms about what is wanted and what runs, by profile. Served are the
// profiles that the root's last gateway recorded as served; nil when it did not.
func (d *Document) ownAlarms(served []string) []policy.Alarm {
	alarms := append([]policy.Alarm{}, d.supervisorAlarms()...)
	for _, name := range d.Names() {
		for _, a := range d.Profiles[name].alarms(d.Supervisor) {
			a.Profile = name
			alarms = append(alarms, a)
		}
		if a, ok := d.notServed(name, served); ok {
			alarms = append(alarms, a)
		}
	}
	return alarms
}

func (d *Document) supervisorAlarms() []policy.Alarm {
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

// alarms returns the alarms about one profile; the caller adds its name.
func (p Profile) alarms(s Supervisor) []policy.Alarm {
	var alarms []policy.Alarm
	add := func(code, reason string) { alarms = append(alarms, policy.Alarm{Code: code, Reason: reason}) }
	unwanted := p.Wanted == WantedDown || p.Wanted == Nothing
	switch {
	case p.Wanted == WantedUp && p.Now != policy.NowUp:
		add(codeNotUp, "wanted up ("+p.Code+"), "+p.notUp(s))
	case p.Now == policy.NowWaiting && unwanted:
		add(codeNotWanted, fmt.Sprintf("about to start, and not wanted: %s: %s", p.Code, p.Reason))
	case p.Now == policy.NowUp && unwanted:
		add(codeNotWanted, fmt.Sprintf("up (pid %d), and not wanted: %s: %s", p.PID, p.Code, p.Reason))
	case p.slotProblem != "":
		add(codeOddSlot, p.slotProblem)
	case p.isLooping():
		add(CodeLoop, p.describeLoop())
	}
	if p.Wanted == Unknown && p.Code == codeFacts {
		add(codeFacts, "what is wanted is not known: "+p.Reason)
	}
	if p.Now == policy.NowNobody && p.Wanted != WantedUp {
		add(CodeNobody, "nobody supervises its slot: it can be neither started nor watched")
	}
	if p.lockHeld && p.Now != policy.NowUp && p.Now != policy.NowUnknown {
		add(codeStray, "its gateway.lock is held: a gateway of it runs outside of its slot, here or in another container")
	}
	return alarms
}

// notServed returns the alarm about a profile that a rule would start, that is left to the
// gateway of the root profile, and that this gateway does not serve: it runs nowhere, and
// no process is missing.
func (d *Document) notServed(name string, served []string) (policy.Alarm, bool) {
	p := d.Profiles[name]
	if p.ServedBy != policy.RootProfile || !p.asked {
		return policy.Alarm{}, false
	}
	root := d.Profiles[policy.RootProfile]
	a := policy.Alarm{Profile: name, Code: codeNotServed}
	switch {
	case root.Now != policy.NowUp && root.Now != policy.NowUnknown:
		a.Reason = "it should run and be served by default, and default is not up"
	case served != nil && !slices.Contains(served, name):
		a.Reason = "it should run and be served by default, and is not in default's served_profiles"
	default:
		return a, false
	}
	return a, true
}

// unhealthy are the codes of the alarms with which a container is not healthy.
var unhealthy = []string{
	codeNotUp, CodeLoop, codeFacts, CodeWatch,
	policy.CodeUntrusted, policy.CodePolicyFallback, policy.CodePolicyGone, policy.CodeSettings, policy.CodeRuleError,
}

// Unhealthy returns a line for each alarm with which a container is not healthy, and for a
// volume that cannot be read. Without a line the container is healthy.
func (d *Document) Unhealthy() []string {
	var lines []string
	if !d.Volume.Readable {
		lines = append(lines, "what is wanted is not known: "+d.Volume.Error)
	}
	for _, a := range d.Alarms {
		if slices.Contains(unhealthy, a.Code) {
			lines = append(lines, strings.TrimPrefix(a.Profile+": "+a.Reason, ": "))
		}
	}
	return lines
}
