// Package watch keeps a running container what the rules say. A trigger says look again,
// and a pass reads all facts anew:
//
//	triggers (volume, slots, operator, time, poke, resync) -> queue -> pass -> what changed
//
// The passes are those of package reconcile, one at a time. The package decides when to look,
// and which operations of a plan a watch leaves out. It knows neither files of a home nor the
// supervisor.
package watch

// A Kind is where a trigger comes from.
type Kind string

// The kinds of triggers.
const (
	Started  Kind = "started"  // the watch itself begins
	Volume   Kind = "volume"   // a file in the home
	Slots    Kind = "slots"    // the scan directory, or a gateway that came up or ended
	Operator Kind = "operator" // rules, configuration, plug-ins, overrides, pauses
	Time     Kind = "time"     // a hold ends, or a rule wants to be asked again
	Bundles  Kind = "bundles"  // a fetched bundle that is another one than before
	Poke     Kind = "poke"     // somebody asks
	Resync   Kind = "resync"   // some time has passed
	Retry    Kind = "retry"    // something failed before
)

// A Trigger says look again.
type Trigger struct {
	Kind Kind
	Key  string // what changed: a profile, or a name of the source's own; may be empty
}
