package policy

import (
	"encoding/json"
	"errors"
	"time"
)

// SchemaVersion is the version of the input document and of the decision
// document. It grows when a field changes its meaning or goes away.
const SchemaVersion = 1

// ErrNotRegular says that something on the volume is not a regular file where
// only a regular file is read: a link, a FIFO, a device, a socket, a directory.
var ErrNotRegular = errors.New("not a regular file")

// The statuses that every fact uses for what it read. A source may add words of
// its own; missing, unreadable, invalid and empty are always kept apart.
const (
	StatusMissing    = "missing"    // there is nothing
	StatusUnreadable = "unreadable" // there is something that cannot or must not be read
	StatusInvalid    = "invalid"    // it was read and makes no sense
	StatusEmpty      = "empty"      // it was read and holds nothing
	StatusRecorded   = "recorded"   // it was read and understood
	StatusTimedOut   = "timed_out"  // the time budget was used up
	StatusFailed     = "failed"     // the source itself could not work
)

// Facts are the values of the sources about one thing, by the name of the
// source. Each value is a JSON object with a "status".
type Facts map[string]json.RawMessage

// The phases of the program as input.phase names them.
const (
	PhaseBoot  = "boot"
	PhaseApply = "apply"
)

// Input is the document that rules see as input: the whole situation, so that
// rules can compare profiles.
type Input struct {
	SchemaVersion int              `json:"schema_version"`
	Phase         string           `json:"phase"`
	Now           Now              `json:"now"`
	Container     Facts            `json:"container"`
	Profiles      map[string]Facts `json:"profiles"`
	// Decisions is there only for the packages that run after the first
	// combination.
	Decisions map[string]Verdict `json:"decisions,omitempty"`
}

// Now is the clock as a fact, so that a run can be repeated.
type Now struct {
	UnixNS  int64  `json:"unix_ns"` // what the time builtins of Rego take
	RFC3339 string `json:"rfc3339"`
	Weekday string `json:"weekday"` // "Monday" and so on, in Zone
	Minute  int    `json:"minute"`  // of the day, 0 to 1439, in Zone
	Zone    string `json:"zone"`    // the container's time zone
}

// NewNow describes t in its own time zone.
func NewNow(t time.Time) Now {
	zone, _ := t.Zone()
	return Now{
		UnixNS:  t.UnixNano(),
		RFC3339: t.Format(time.RFC3339),
		Weekday: t.Weekday().String(),
		Minute:  t.Hour()*60 + t.Minute(),
		Zone:    zone,
	}
}

// PriorState is the part of the fact "prior_state" that the program itself
// needs, for the boot log; the fact holds more.
type PriorState struct {
	Status  string  `json:"status"`
	Desired *string `json:"desired,omitempty"` // the operator's intent; nil when absent or null
	Gateway *string `json:"gateway,omitempty"` // what the gateway wrote of itself
}

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

// Lifecycle is the part of the fact "lifecycle" that the boot log needs.
type Lifecycle struct {
	Status string `json:"status"`
	Exit   string `json:"exit,omitempty"` // "clean", "unclean" or "unknown"
}

// RuntimeFile is the part of the fact "runtime_files" that the program itself
// needs: a decision can sweep only what a fact offers, and the executor sweeps
// only the very file that the fact saw.
type RuntimeFile struct {
	Status    string `json:"status"`
	Sweepable bool   `json:"sweepable"`          // a regular file or link whose gateway holds no lock
	Identity  string `json:"identity,omitempty"` // inode, modification time and size; opaque
}
