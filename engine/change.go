package engine

import (
	"errors"
	"time"

	"hermes-reconcile/policy"
)

// A ChangeKind is something that a life cycle command reads or writes of a profile.
type ChangeKind string

// The changes.
const (
	ReadIntent  ChangeKind = "read-intent"  // what the operator wants, as gateway_state.json has it
	WriteIntent ChangeKind = "write-intent" // record what the operator wants
	PlannedStop ChangeKind = "planned-stop" // tell the gateway that an operator stops it
	WriteHold   ChangeKind = "write-hold"   // record that the budget of deaths is used up
	RemoveHold  ChangeKind = "remove-hold"
	ReadSaid    ChangeKind = "read-said" // what the gateway recorded of itself
	ReadLog     ChangeKind = "read-log"  // the last lines of its log
	// Of the volume rather than of a profile:
	WriteLease   ChangeKind = "write-lease"
	ReleaseLease ChangeKind = "release-lease" // remove the lease if it is still ours
)

// The intents, as upstream records them in gateway_state.json.
const (
	IntentRunning = "running"
	IntentStopped = "stopped"
)

// A Change asks for one of them.
type Change struct {
	Kind      ChangeKind
	Profile   string
	Intent    string              `json:",omitempty"` // WriteIntent: IntentRunning or IntentStopped
	PID       int                 `json:",omitempty"` // PlannedStop: of the gateway
	StartTime int64               `json:",omitempty"` // PlannedStop: of that process, in clock ticks
	Hold      *policy.RestartHold `json:",omitempty"` // WriteHold
	Lease     *Lease              `json:",omitempty"` // WriteLease; ReleaseLease needs its ID
	Over      string              `json:",omitempty"` // Lease.Over
}

// A Lease says which container owns the volume. Its JSON is the file on the volume, which the
// agent can write too.
type Lease struct {
	Host           string    `json:"host"`
	BootID         string    `json:"boot_id"`
	ContainerStart int64     `json:"container_start"` // of the container's PID 1, in seconds since 1970
	ID             string    `json:"id"`              // of the watch, random
	SeenAt         time.Time `json:"seen_at"`
	TTL            int       `json:"ttl"` // in seconds; the lease counts so long after SeenAt

	// Over is the id of a lease that this one may replace, besides one of the same id.
	Over string `json:"-"`
}

// ErrLeaseTaken says that another container wrote its lease first.
var ErrLeaseTaken = errors.New("another container has the lease of the volume")

// Changed is the answer to a Change.
type Changed struct {
	Intent  string `json:",omitempty"` // ReadIntent: empty when none is recorded
	Changed bool   `json:",omitempty"` // something was written or removed
	Missing bool   `json:",omitempty"` // the error is that the profile does not exist
	Said    policy.Said
	Log     []string `json:",omitempty"`
}
