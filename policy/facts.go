package policy

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The statuses of a fact. Missing, unreadable, invalid and empty are always different.
const (
	StatusMissing    = "missing"    // it does not exist
	StatusUnreadable = "unreadable" // it exists, and cannot or must not be read
	StatusInvalid    = "invalid"    // it was read, and is not valid
	StatusEmpty      = "empty"      // it was read, and contains nothing
	StatusRecorded   = "recorded"   // it was read and understood
	StatusTimedOut   = "timed_out"  // the time budget was used up
	StatusFailed     = "failed"     // the source itself could not work
)

// Facts are the values of the sources about one thing, by the name of the
// source. Each value is a JSON object with a "status".
type Facts map[string]json.RawMessage

// Status returns the status of a fact and its error text. Both are empty when the fact is
// absent.
func (f Facts) Status(name string) (status, problem string) {
	s := read[struct{ Status, Error string }](f, name)
	return s.Status, s.Error
}

// read decodes the part of a fact that a reader below needs. It returns the zero value for a
// fact that is absent or of another shape.
func read[T any](f Facts, name string) T {
	var value, zero T
	if json.Unmarshal(f[name], &value) != nil {
		return zero
	}
	return value
}

// The readers below decode what Go code itself uses of the facts. The rest is for the rules. A
// Status is empty when the fact is absent.

// ProfilesDir is the container fact "profiles_dir": how listing the profiles went.
type ProfilesDir struct {
	Status    string `json:"status" about:"how the collection went" words:"status"`
	Error     string `json:"error,omitempty" about:"what went wrong; never quotes what was read"`
	Entries   int    `json:"entries" about:"directories and links: the named profiles"`
	Others    int    `json:"others" about:"other entries, which are not profiles"`
	Truncated bool   `json:"truncated" about:"the directory has more entries than were listed"`
}

func ProfilesDirOf(container Facts) ProfilesDir {
	return read[ProfilesDir](container, "profiles_dir")
}

// ExternalFact is the name of the facts of the operator's plug-ins.
const ExternalFact = "external"

// FailedPlugins returns why plug-ins gave no answer, by plug-in. AnyPlugin stands for all of
// them.
func FailedPlugins(container Facts) map[string]string {
	type outcome struct{ Status, Error string }
	external := read[struct {
		outcome
		Plugins map[string]outcome
	}](container, ExternalFact)
	failed := map[string]string{}
	for name, o := range external.Plugins {
		if o.Status != StatusRecorded && o.Status != StatusEmpty {
			failed[name] = o.Status + ": " + o.Error
		}
	}
	switch external.Status {
	case StatusTimedOut, StatusFailed, StatusUnreadable:
		failed[AnyPlugin] = external.Status + ": " + external.Error
	}
	return failed
}

// LabelsFact is the name of the fact that says which container of a fleet this is.
const LabelsFact = "labels"

func LabelsOf(container Facts) map[string]string {
	labels := map[string]string{}
	_ = json.Unmarshal(container[LabelsFact], &labels) // saved facts may have none
	delete(labels, "status")
	return labels
}

// MultiplexOn reports whether the gateway of the root profile serves other profiles.
func MultiplexOn(container Facts) bool {
	return read[struct{ On bool }](container, "multiplex").On
}

// ImageVersion returns the version of the image, or "" when it is unknown.
func ImageVersion(container Facts) string {
	return read[struct{ Version string }](container, "image").Version
}

// A Host is what the fact "host" says of the container. What is unknown is empty.
type Host struct {
	Hostname string
	BootID   string `json:"boot_id"`         // of the kernel
	Started  int64  `json:"started_at_unix"` // the container
}

// HostOf reads the fact "host".
func HostOf(container Facts) Host { return read[Host](container, "host") }

// An OwnerLease is the fact "owner_lease": the lease of the volume, which the agent can write.
type OwnerLease struct {
	Status, Host, ID string
	SeenAt           int64 `json:"seen_at_unix"`
	TTL              int64 `json:"ttl_seconds"`
}

// OwnerLeaseOf reads the fact "owner_lease", and reports whether this container has the lease.
func OwnerLeaseOf(container Facts) (lease OwnerLease, ours bool) {
	lease = read[OwnerLease](container, "owner_lease")
	return lease, lease.ID != "" && lease.ID == read[struct{ ID string }](container, "own_lease").ID
}

// PriorState is the part of the fact "prior_state" that Go code reads: what the state
// file of a profile records.
type PriorState struct {
	Status  string  `json:"status"`
	Desired *string `json:"desired,omitempty"` // the operator's intent; nil when absent or null
	Gateway *string `json:"gateway,omitempty"` // what the gateway wrote of itself
	Error   string  `json:"error,omitempty"`
}

func PriorStateOf(profile Facts) PriorState { return read[PriorState](profile, "prior_state") }

// Word returns the state as upstream's boot log names it: the desired state if
// there is one, else the gateway's own, else "None".
func (s PriorState) Word() string {
	switch {
	case s.Status != StatusRecorded:
		return "None"
	case s.Desired != nil:
		return *s.Desired
	case s.Gateway != nil:
		return *s.Gateway
	}
	return "None"
}

// DesiredState returns the operator's intent that the state file records, or "".
func DesiredState(profile Facts) string {
	if desired := PriorStateOf(profile).Desired; desired != nil {
		return *desired
	}
	return ""
}

// WithDesiredState returns a copy of a profile's facts in which the state file records
// another intent, as of that time.
func WithDesiredState(profile Facts, desired string, at Now) Facts {
	prior := read[map[string]json.RawMessage](profile, "prior_state")
	if prior == nil {
		prior = map[string]json.RawMessage{}
	}
	delete(prior, "error")
	prior["status"], prior["desired"] = quote(StatusRecorded), quote(desired)
	prior["updated_at_unix"] = strconv.AppendInt(nil, at.UnixNS/int64(time.Second), 10)
	changed := Facts{}
	maps.Copy(changed, profile)
	changed["prior_state"], _ = json.Marshal(prior) // decoded JSON encodes again
	return changed
}

func quote(s string) json.RawMessage {
	text, _ := json.Marshal(s) // a string always encodes
	return text
}

// ServedProfiles returns the profiles that the last gateway of this profile recorded to serve.
// It is nil when the gateway recorded no list.
func ServedProfiles(profile Facts) []string {
	return read[struct {
		Served []string `json:"served_profiles"`
	}](profile, "prior_state").Served
}

// PriorExit returns how the last gateway of a profile ended: "clean", "unclean" or
// "unknown".
func PriorExit(profile Facts) string {
	return cmp.Or(read[struct{ Exit string }](profile, "lifecycle").Exit, "unknown")
}

// EndedHold returns when the gateway used up its budget of deaths, in seconds since 1970, and
// whether the hold for it is over: a file changed since, or its time has come.
func EndedHold(profile Facts) (since int64, over bool) {
	hold := read[struct {
		Status, Ended string
		SinceUnix     int64 `json:"since_unix"`
	}](profile, "restart_hold")
	return hold.SinceUnix, hold.Status == StatusRecorded && hold.Ended != ""
}

// RuntimeFile is the part of the fact "runtime_files" that describes one file. A
// decision can sweep only a file that the fact offers, and the executor sweeps only the
// very file that the fact saw.
type RuntimeFile struct {
	Status    string `json:"status"`
	Sweepable bool   `json:"sweepable"`          // a regular file or link whose gateway holds no lock
	Identity  string `json:"identity,omitempty"` // inode, modification time and size; opaque
}

func RuntimeFiles(profile Facts) map[string]RuntimeFile {
	return read[struct{ Files map[string]RuntimeFile }](profile, "runtime_files").Files
}

// A Lock is how the look at the lock of a gateway went.
type Lock struct {
	Status string `json:"status" about:"missing: no gateway ever ran; unreadable: not a regular file, or no permission" words:"status"`
	Error  string `json:"error,omitempty" about:"what went wrong"`
	Held   bool   `json:"held" about:"a process in any container on this kernel holds a lock on the file; true too when this is unknown" by:"kernel"`
}

func LockOf(profile Facts) Lock {
	return read[struct{ Lock Lock }](profile, "runtime_files").Lock
}

// LockHeld reports whether a gateway is known to hold the lock of a profile, in this
// container or in another one.
func LockHeld(profile Facts) bool {
	lock := LockOf(profile)
	return lock.Held && lock.Status == StatusRecorded
}

// Said is what a gateway recorded of itself in the state file. The agent can write all of it.
type Said struct {
	State string // starting, running, degraded, startup_failed, …; empty without a record
	PID   int64  // of the gateway; 0 without a record
	Words string // why it ended, and the errors of platforms
}

func SaidOf(profile Facts) Said {
	prior := read[struct {
		Gateway    string
		PID        int64
		ExitReason string `json:"exit_reason"`
		Platforms  map[string]struct {
			ErrorCode string `json:"error_code"`
		}
	}](profile, "prior_state")
	words := []string{}
	if prior.ExitReason != "" {
		words = append(words, prior.ExitReason)
	}
	for _, name := range slices.Sorted(maps.Keys(prior.Platforms)) {
		if code := prior.Platforms[name].ErrorCode; code != "" {
			words = append(words, name+": "+code)
		}
	}
	return Said{prior.Gateway, prior.PID, strings.Join(words, "; ")}
}

// Lifecycle is the part of the fact "lifecycle" that Go code reads: how the last gateway
// recorded its end.
type Lifecycle struct {
	ExitCode     *int   `json:"exit_code"`
	ExitReason   string `json:"exit_reason"`
	ExitedAtUnix int64  `json:"exited_at_unix"`
}

func LifecycleOf(profile Facts) Lifecycle { return read[Lifecycle](profile, "lifecycle") }

// Claims names what only one profile at a time can use: the exclusive tokens of a profile, and
// the ports on which it would listen.
func Claims(profile Facts) []string {
	var all []string
	for _, token := range Fingerprints(profile) {
		all = append(all, "token "+token)
	}
	for _, p := range read[struct {
		Ports []struct {
			Port    int
			Enabled bool
		}
	}](profile, "ports").Ports {
		if p.Enabled {
			all = append(all, "port "+strconv.Itoa(p.Port))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Fingerprints identifies the exclusive credentials of a profile: "<scope> <fingerprint>", in
// the order of its files. Only one of two profiles with an equal one can use it.
func Fingerprints(profile Facts) []string {
	tokens := read[struct {
		Tokens []struct {
			Fingerprint, Scope string
			Exclusive          bool
		}
	}](profile, "tokens").Tokens
	var all []string
	for _, t := range tokens {
		if t.Fingerprint != "" && t.Exclusive {
			all = append(all, t.Scope+" "+t.Fingerprint)
		}
	}
	return all
}
