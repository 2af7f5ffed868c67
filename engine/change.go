package engine

import "hermes-reconcile/policy"

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
}

// Changed is the answer to a Change.
type Changed struct {
	Intent  string `json:",omitempty"` // ReadIntent: empty when none is recorded
	Changed bool   `json:",omitempty"` // something was written or removed
	Missing bool   `json:",omitempty"` // the error is that the profile does not exist
	Said    policy.Said
	Log     []string `json:",omitempty"`
}
