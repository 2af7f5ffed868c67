package policy

import "time"

type Op string

// The operations. The first group changes slots, the second the volume, the
// third what runs.
const (
	OpPublish   Op = "publish"    // make a slot, or replace one that nothing supervises
	OpUpdate    Op = "update"     // replace files of a supervised slot, one by one, or take them back from another user
	OpMarkDown  Op = "mark-down"  // create the down file of a slot
	OpClearDown Op = "clear-down" // remove the down file of a slot
	OpRemove    Op = "remove"     // remove a slot

	OpSweep Op = "sweep" // remove a runtime file
	OpSeed  Op = "seed"  // write an initial state file

	OpBringUp   Op = "bring-up"
	OpBringDown Op = "bring-down"
	OpRescan    Op = "rescan" // ask for a scan of the scan directory
)

// An Operation is one step of a plan, with its cause. It holds all that an
// executor needs to carry it out.
type Operation struct {
	Op      Op     `json:"op"`
	Profile string `json:"profile,omitempty"`
	Cause   string `json:"cause"`

	Slot         string            `json:"slot,omitempty"` // name of the service directory; update: "." is the scan directory
	Down         *bool             `json:"down,omitempty"` // publish: with a down file
	DelaySeconds float64           `json:"delay_seconds,omitempty"`
	Env          map[string]string `json:"env,omitempty"`
	Restart      *Restart          `json:"restart,omitempty"`
	Files        []string          `json:"files,omitempty"`   // update: the files that differ
	Changes      []string          `json:"changes,omitempty"` // publish, update: what changes in the files, in words
	Diff         string            `json:"diff,omitempty"`    // publish, update: of the files, with --diff; has no secret

	File     string `json:"file,omitempty"`     // sweep: relative to the profile's directory
	Identity string `json:"identity,omitempty"` // sweep: inode, modification time and size of the file to remove; opaque
	Seed     *Seed  `json:"seed,omitempty"`

	// ThenUp marks a bring-down as the first half of a restart: the gateway has to be
	// down before the bring-up, and a gateway that another user restarted meanwhile
	// counts as down.
	ThenUp bool `json:"then_up,omitempty"`
	// Held marks a publish or a bring-down of a profile that a hold keeps down: the
	// unprivileged user must not start it.
	Held bool `json:"held,omitempty"`
}

// A Plan is what an executor will do, as data.
type Plan struct {
	Operations []Operation
	Alarms     []Alarm // what the executor leaves alone, and why
	// Pending has the profiles whose gateways run with an older run script until their
	// next start, sorted.
	Pending []string
}

// PlanOptions say what a plan may do beyond the decisions. The zero value plans for a
// scan directory that nothing supervises yet.
type PlanOptions struct {
	// Live also starts and stops slots that are supervised already.
	Live bool
	// Prune removes the slots of ours without a decision. Only a caller who knows every
	// profile may set it.
	Prune bool
	// Service also makes, changes or removes the service of WatchSlot. A pass over some
	// named profiles leaves it alone, and so does a user who is not root.
	Service bool
	// Rescan ends the plan with a scan when a slot is made, removed or unsupervised.
	// Without it nothing starts until another program asks for a scan.
	Rescan bool
	// RestartChanged, with Live, restarts gateways that run with an older run script
	// than their slot has. Without it they are pending.
	RestartChanged bool
	// Restart, with Live, names profiles to restart where they are decided to start.
	Restart []string
	// Start, with Live, names profiles whose gateways a user wants to see up: a gateway
	// that has just ended, or pauses, begins anew.
	Start []string
	// Diff also compares the texts of files that change.
	Diff bool
	// UpFor is how long a gateway of Start must have been up to be left alone.
	UpFor time.Duration
}

// ExecuteOptions control the waiting for gateways that start and stop.
type ExecuteOptions struct {
	// Wait bounds each change that a supervisor makes: 10 s when zero.
	Wait time.Duration
	// UpFor is how long a gateway has to stay up until its start counts as done.
	UpFor time.Duration
	// NoWait asks for starts and stops and does not wait for them, except for the stop
	// of a restart.
	NoWait bool
	// Kill kills a gateway that is not down after Wait.
	Kill bool
}

type Result struct {
	Operation Operation
	// Done is false with an error, and when there was nothing to do any more, for
	// example when the file to sweep was gone already.
	Done bool
	Err  error
}
