// Package status lays what is wanted beside what runs: for every profile, and as alarms
// for what differs.
package status

import (
	"maps"
	"slices"
	"strings"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// A Document is the status of a container. `status --output json` prints it.
type Document struct {
	SchemaVersion policy.Version        `json:"schema_version"`
	Time          string                `json:"time"`
	Labels        map[string]string     `json:"labels"`
	Policy        policy.Status         `json:"policy"`
	Supervisor    Supervisor            `json:"supervisor"`
	Volume        Volume                `json:"volume"`
	Watch         Watch                 `json:"watch"`
	DecisionLog   *DecisionLog          `json:"decision_log,omitempty"`
	Skip          []policy.Contribution `json:"skip"` // why this container supervises nothing
	Alarms        []policy.Alarm        `json:"alarms"`
	Profiles      map[string]Profile    `json:"profiles"`

	At       time.Time `json:"-"` // Time, in the zone in which people read it
	complete bool      // every profile of the volume is here
}

// A Supervisor is the scan directory and who works on it.
type Supervisor struct {
	ScanDir   string `json:"scandir"`
	Status    string `json:"status"`            // of looking at it: recorded, missing, unreadable, timed_out
	Running   *bool  `json:"running,omitempty"` // an s6-svscan works on it; absent where this user may not know
	SvscanPID int    `json:"svscan_pid,omitempty"`
}

// A Volume is whether all profiles can be known.
type Volume struct {
	Readable bool   `json:"readable"`
	Error    string `json:"error,omitempty"`
	Owner    *Owner `json:"owner,omitempty"` // as the lease says, which the agent can write; absent without one
}

// An Owner is the container that has the lease of the volume, or had it.
type Owner struct {
	Host   string    `json:"host"`
	Ours   bool      `json:"ours"`    // it is this container
	SeenAt time.Time `json:"seen_at"` // by its clock
}

// ownerOf returns who owns the volume, if the lease says so.
func ownerOf(container policy.Facts) *Owner {
	lease, ours := policy.OwnerLeaseOf(container)
	if lease.Host == "" || lease.SeenAt == 0 {
		return nil
	}
	return &Owner{Host: lease.Host, Ours: ours, SeenAt: time.Unix(lease.SeenAt, 0).UTC()}
}

// Describe describes the owner at a time.
func (o Owner) Describe(now time.Time) string {
	whose := "another container"
	if o.Ours {
		whose = "this container"
	}
	return o.Host + " (" + whose + "), seen " + Spell(now.Sub(o.SeenAt)) + " ago"
}

// A Profile is one profile.
type Profile struct {
	Wanted     policy.Maybe `json:"wanted"` // up or down; null: no slot, or it is not known
	Slot       policy.Maybe `json:"slot"`   // up, or down for one with a down file
	Now        policy.Maybe `json:"now"`    // up, down, waiting, or not supervised
	PID        int          `json:"pid,omitempty"`
	Since      time.Time    `json:"since,omitzero"`         // of the last change between up and down
	Until      time.Time    `json:"waiting_until,omitzero"` // when its gateway is started
	Changed    bool         `json:"changed,omitempty"`      // it runs with an older run script than its slot has
	Restarts   int          `json:"restarts"`               // deaths since the supervisor started; s6 counts to 100
	ExitCode   *int         `json:"exit_code,omitempty"`
	Signal     int          `json:"signal,omitempty"`
	Code       string       `json:"code"`
	Reason     string       `json:"reason"`
	PriorState policy.Maybe `json:"prior_state"`
	Held       bool         `json:"held,omitempty"` // a hold keeps it down
	ServedBy   policy.Maybe `json:"served_by"`      // the profile whose gateway serves it, or self

	// Next is when something will change by itself; absent: nothing will. When a hold ends,
	// somebody has to look: the watch does, else the next apply or boot.
	Next       time.Time `json:"next,omitzero"`
	NextReason string    `json:"next_reason,omitempty"`

	recent      int    // deaths, see policy.Slot.RecentDeaths
	lockHeld    bool   // some process holds its gateway.lock
	asked       bool   // a rule would start it
	slotProblem string // why its slot cannot be understood
}

// The words of Wanted and ServedBy.
const (
	WantedUp   = "up"
	WantedDown = "down"
	Nothing    = "-"
	Unknown    = "?"
	ServedSelf = "self"
)

// codeNoProfile is the code of a slot when there is no profile of its name.
const codeNoProfile = "no_profile"

// New makes the status of a situation and of what was decided on it.
func New(scanDir string, s engine.Situation, decisions policy.Decisions) *Document {
	now := time.Unix(0, s.Input.Now.UnixNS)
	slots := policy.SlotsOf(s.Input.Container)
	d := &Document{
		Time: now.UTC().Format(time.RFC3339), Labels: policy.LabelsOf(s.Input.Container), Policy: decisions.Policy,
		Supervisor: Supervisor{ScanDir: scanDir, Status: slots.Status, Running: slots.Running, SvscanPID: slots.SvscanPID},
		Volume:     volumeOf(s), Watch: watchOf(slots), Skip: append([]policy.Contribution{}, decisions.Skip...),
		Profiles: map[string]Profile{}, At: now,
	}
	d.complete = d.Volume.Readable && s.Complete()
	byProfile := slots.ByProfile()
	for name, decision := range decisions.Profiles {
		slot, exists := byProfile[name]
		p := wantedOf(decision, s.Input.Profiles[name], s.VolumeErr).seen(slots, slot, exists)
		p.Held = p.Wanted == WantedDown && len(engine.Holds(decision, s.Input.Now)) > 0
		d.Profiles[name] = p.expecting(name, decisions, s.Input.Now)
	}
	for name, slot := range byProfile {
		if _, ok := d.Profiles[name]; !ok {
			d.Profiles[name] = d.stranger().seen(slots, slot, true)
		}
	}
	d.serve(s, decisions)
	d.Alarms = append(d.ownAlarms(policy.ServedProfiles(s.Input.Profiles[policy.RootProfile])), decisions.Alarms...)
	if !d.Volume.Readable && s.VolumeErr == nil { // else the decisions have that alarm
		d.Alarms = append(d.Alarms, policy.Alarm{Code: engine.CodeVolume, Reason: "named profiles may be missing here: " + d.Volume.Error})
	}
	return d
}

// volumeOf reports whether all profiles can be known. When only the directory of the named
// profiles is out of reach, what is known of the others counts.
func volumeOf(s engine.Situation) Volume {
	if s.VolumeErr != nil {
		return Volume{Error: s.VolumeErr.Error()}
	}
	dir := policy.ProfilesDirOf(s.Input.Container)
	switch dir.Status {
	case policy.StatusUnreadable, policy.StatusTimedOut, policy.StatusFailed:
		return Volume{Error: strings.TrimSuffix("profiles: "+dir.Status+": "+dir.Error, ": ")}
	}
	return Volume{Readable: true, Owner: ownerOf(s.Input.Container)}
}

// wantedOf is what the rules want of a profile, as far as its facts are known.
func wantedOf(decision policy.Decision, facts policy.Facts, volumeErr error) Profile {
	p := Profile{Code: decision.Code, Reason: decision.Reason, PriorState: decision.PriorState, ServedBy: Nothing}
	p.asked = slices.ContainsFunc(decision.Contributions, func(c policy.Contribution) bool { return c.Set == policy.SetStart && c.Counts() })
	p.lockHeld = policy.LockHeld(facts)
	words := map[policy.Action]policy.Maybe{policy.ActionStart: WantedUp, policy.ActionDown: WantedDown, policy.ActionSkip: Nothing}
	p.Wanted = words[decision.Action]
	prior := policy.PriorStateOf(facts).Status
	switch {
	case decision.Held: // whatever its facts are
	case decision.Undecided:
		p.Wanted = Unknown
	case volumeErr != nil:
		p.Wanted, p.Code, p.Reason, p.PriorState = Unknown, engine.CodeVolume, volumeErr.Error(), ""
	case prior == "" || prior == policy.StatusTimedOut || prior == policy.StatusFailed:
		p.Wanted, p.Code, p.Reason, p.PriorState = Unknown, codeFacts, "its state could not be read in time", ""
	}
	return p
}

// stranger is a slot whose profile is not known.
func (d *Document) stranger() Profile {
	if !d.complete {
		reason := d.Volume.Error
		if reason == "" {
			reason = "there are more profiles than are looked at"
		}
		return Profile{Wanted: Unknown, Code: engine.CodeVolume, Reason: reason, ServedBy: Nothing}
	}
	return Profile{Wanted: Nothing, Code: codeNoProfile, Reason: "there is a slot and no profile of that name", ServedBy: Nothing}
}

// Names returns the profiles, sorted.
func (d *Document) Names() []string { return slices.Sorted(maps.Keys(d.Profiles)) }

// Keep leaves out the profiles that are not named, and their alarms. When the volume
// cannot be read, a name that is not here may exist. Its error is an
// engine.UnknownProfile.
func (d *Document) Keep(names []string) error {
	if len(names) == 0 {
		return nil
	}
	for _, name := range names {
		if _, ok := d.Profiles[name]; !ok && !d.complete {
			p := d.stranger()
			p.Slot, p.Now = policy.SlotNone, policy.NowNothing
			d.Profiles[name] = p
		}
	}
	var err error
	if d.Profiles, err = engine.Only(d.Profiles, names); err != nil {
		return err
	}
	d.Alarms = slices.DeleteFunc(d.Alarms, func(a policy.Alarm) bool { return a.Profile != "" && !slices.Contains(names, a.Profile) })
	return nil
}

// Certain reports whether what is wanted is known of every profile.
func (d *Document) Certain() bool {
	for _, p := range d.Profiles {
		if p.Wanted == Unknown {
			return false
		}
	}
	return d.Volume.Readable
}
