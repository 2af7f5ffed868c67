package policy

// An Op is the kind of an operation.
type Op string

// The operations. The first group changes slots, the second the volume, the
// third what runs.
const (
	OpPublish   Op = "publish"    // make a slot, or replace one that nothing supervises
	OpUpdate    Op = "update"     // replace files of a supervised slot, one by one
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

	Slot         string            `json:"slot,omitempty"` // name of the service directory
	Down         *bool             `json:"down,omitempty"` // publish: with a down file
	DelaySeconds float64           `json:"delay_seconds,omitempty"`
	Env          map[string]string `json:"env,omitempty"`
	Restart      *Restart          `json:"restart,omitempty"`
	Files        []string          `json:"files,omitempty"` // update: the files that differ

	File     string `json:"file,omitempty"`     // sweep: relative to the profile's directory
	Identity string `json:"identity,omitempty"` // sweep: RuntimeFile.Identity of the file to remove
	Seed     *Seed  `json:"seed,omitempty"`
}

// A Result says how an operation ended.
type Result struct {
	Operation Operation
	// Done is false when there was nothing to do any more, for example when the
	// file to sweep was gone already.
	Done bool
	Err  error
}
