package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hermes-reconcile/policy"
)

// A statusDocument says what is wanted and what runs. `status --output json` prints
// it.
type statusDocument struct {
	SchemaVersion int                      `json:"schema_version"`
	Time          string                   `json:"time"`
	Policy        policy.Status            `json:"policy"`
	Supervisor    supervisorStatus         `json:"supervisor"`
	Volume        volumeStatus             `json:"volume"`
	Skip          []policy.Contribution    `json:"skip"` // why this container supervises nothing
	Alarms        []policy.Alarm           `json:"alarms"`
	Profiles      map[string]profileStatus `json:"profiles"`

	now      time.Time
	complete bool // every profile of the volume is here
}

// A supervisorStatus is about the scan directory.
type supervisorStatus struct {
	ScanDir   string `json:"scandir"`
	Status    string `json:"status"`            // of looking at it: recorded, missing, unreadable, timed_out
	Running   *bool  `json:"running,omitempty"` // an s6-svscan works on it; absent where this user may not know
	SvscanPID int    `json:"svscan_pid,omitempty"`
}

type volumeStatus struct {
	Readable bool   `json:"readable"`
	Error    string `json:"error,omitempty"`
}

// A profileStatus is one profile.
type profileStatus struct {
	Wanted      string `json:"wanted"` // up, down, - for no slot, ? for not known
	Slot        string `json:"slot"`   // up, down (has a down file), none, ?
	Now         string `json:"now"`    // up, down, waiting, not supervised, - without a slot, ?
	PID         int    `json:"pid,omitempty"`
	Since       string `json:"since,omitempty"`         // of the last change between up and down
	Until       string `json:"waiting_until,omitempty"` // when its gateway is started
	Changed     bool   `json:"changed,omitempty"`       // it runs with an older run script than its slot has
	Restarts    int    `json:"restarts"`                // deaths since the supervisor started; s6 counts to 100
	ExitCode    *int   `json:"exit_code,omitempty"`
	Signal      int    `json:"signal,omitempty"`
	Code        string `json:"code"`
	Reason      string `json:"reason"`
	PriorState  string `json:"prior_state,omitempty"`
	ServedBy    string `json:"served_by"` // self, default, or -
	sinceUnix   int64  // 0 for not known
	lockHeld    bool   // somebody holds its gateway.lock
	asked       bool   // a rule would start it
	slotProblem string // why its slot makes no sense
}

// The words of wanted, slot and now.
const (
	wantedUp   = "up"
	wantedDown = "down"
	nowUp      = "up"
	nowDown    = "down"
	nowWaiting = "waiting" // its slot is up, and its gateway is not started yet
	nowNobody  = "not supervised"
	nothing    = "-"
	unknown    = "?"
	servedSelf = "self"
)

func newStatusDocument(c config, s situation, decisions policy.Decisions) *statusDocument {
	now := time.Unix(0, s.input.Now.UnixNS).UTC()
	seen := readSlots(s.input.Container["s6"])
	d := &statusDocument{
		SchemaVersion: policy.SchemaVersion, Time: now.Format(time.RFC3339), Policy: decisions.Policy,
		Supervisor: supervisorStatus{ScanDir: c.ScanDir, Status: seen.Status, Running: seen.Running, SvscanPID: seen.SvscanPID},
		Volume:     readableVolume(s), Skip: append([]policy.Contribution{}, decisions.Skip...),
		Profiles: map[string]profileStatus{}, now: now,
	}
	d.complete = d.Volume.Readable && s.complete()
	for name, decision := range decisions.Profiles {
		d.Profiles[name] = wantedOf(decision, s.input.Profiles[name], s.volumeErr)
	}
	for name, p := range d.Profiles {
		slot, ok := seen.profiles[name]
		d.Profiles[name] = p.seen(seen, slot, ok)
	}
	for _, slot := range seen.Slots {
		if _, ok := d.Profiles[slot.Profile]; !ok {
			d.Profiles[slot.Profile] = d.stranger().seen(seen, slot, true)
		}
	}
	multiplex := d.serve(s, decisions)
	d.Alarms = append(d.ownAlarms(multiplex), decisions.Alarms...)
	if !d.Volume.Readable && s.volumeErr == nil { // else it is said among those of the decisions
		d.Alarms = append(d.Alarms, policy.Alarm{Code: codeVolume, Reason: "named profiles may be missing here: " + d.Volume.Error})
	}
	return d
}

// readableVolume says whether all profiles can be known. Where only the directory of
// the named ones is out of reach, what is known of the others counts.
func readableVolume(s situation) volumeStatus {
	if s.volumeErr != nil {
		return volumeStatus{Error: s.volumeErr.Error()}
	}
	var dir struct{ Status, Error string }
	if json.Unmarshal(s.input.Container["profiles_dir"], &dir) == nil {
		switch dir.Status {
		case policy.StatusUnreadable, policy.StatusTimedOut, policy.StatusFailed:
			return volumeStatus{Error: strings.TrimSuffix("profiles: "+dir.Status+": "+dir.Error, ": ")}
		}
	}
	return volumeStatus{Readable: true}
}

// wantedOf is what the rules say of a profile, as far as its facts are there.
func wantedOf(decision policy.Decision, facts policy.Facts, volumeErr error) profileStatus {
	p := profileStatus{Code: decision.Code, Reason: decision.Reason, PriorState: decision.PriorState, ServedBy: nothing}
	p.asked = slices.ContainsFunc(decision.Contributions, func(c policy.Contribution) bool { return c.Set == policy.SetStart && c.Counts() })
	p.lockHeld = lockHeld(facts["runtime_files"])
	words := map[policy.Action]string{policy.ActionStart: wantedUp, policy.ActionDown: wantedDown, policy.ActionSkip: nothing}
	p.Wanted = words[decision.Action]
	var prior struct{ Status string }
	err := json.Unmarshal(facts["prior_state"], &prior)
	switch {
	case volumeErr != nil:
		p.Wanted, p.Code, p.Reason, p.PriorState = unknown, codeVolume, volumeErr.Error(), ""
	case decision.Undecided:
		p.Wanted = unknown
	case err != nil || prior.Status == policy.StatusTimedOut || prior.Status == policy.StatusFailed:
		p.Wanted, p.Code, p.Reason, p.PriorState = unknown, codeFacts, "its state could not be read in time", ""
	}
	return p
}

// The codes of what only status knows.
const (
	codeVolume    = "volume"           // the volume cannot be read
	codeFacts     = "facts_incomplete" // what decides is not known of one profile
	codeNoProfile = "no_profile"       // there is a slot and no profile of that name
)

// stranger is a slot whose profile is not known.
func (d *statusDocument) stranger() profileStatus {
	if !d.complete {
		reason := d.Volume.Error
		if reason == "" {
			reason = "there are more profiles than are looked at"
		}
		return profileStatus{Wanted: unknown, Code: codeVolume, Reason: reason, ServedBy: nothing}
	}
	return profileStatus{Wanted: nothing, Code: codeNoProfile, Reason: "there is a slot and no profile of that name", ServedBy: nothing}
}

// lockHeld says that a gateway of the profile runs somewhere.
func lockHeld(fact json.RawMessage) bool {
	var files struct {
		Lock struct {
			Status string
			Held   bool
		}
	}
	return json.Unmarshal(fact, &files) == nil && files.Lock.Held && files.Lock.Status == policy.StatusRecorded
}

func (d *statusDocument) names() []string { return slices.Sorted(maps.Keys(d.Profiles)) }

// only keeps the named profiles. Where the volume cannot be read, a name that is
// not here may exist all the same.
func (d *statusDocument) only(names []string) (map[string]profileStatus, error) {
	if !d.complete {
		for _, name := range names {
			if _, ok := d.Profiles[name]; !ok {
				p := d.stranger()
				p.Slot, p.Now = "none", nothing
				d.Profiles[name] = p
			}
		}
	}
	return only(d.Profiles, names)
}

// keepAlarms leaves out those about profiles that were not asked for.
func (d *statusDocument) keepAlarms(names []string) {
	if len(names) == 0 {
		return
	}
	d.Alarms = slices.DeleteFunc(d.Alarms, func(a policy.Alarm) bool { return a.Profile != "" && !slices.Contains(names, a.Profile) })
}

func (d *statusDocument) MarshalJSON() ([]byte, error) {
	type plain statusDocument
	p := plain(*d)
	if p.Alarms == nil {
		p.Alarms = []policy.Alarm{}
	}
	return json.Marshal(p)
}

// spell writes a duration as an operator would say it.
func spell(d time.Duration) string {
	seconds := max(0, int64(d/time.Second))
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm%ds", seconds/60, seconds%60)
	case seconds < 86400:
		return fmt.Sprintf("%dh%dm", seconds/3600, seconds/60%60)
	}
	return fmt.Sprintf("%dd%dh", seconds/86400, seconds/3600%24)
}
