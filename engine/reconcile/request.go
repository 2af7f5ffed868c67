package reconcile

import (
	"context"
	"maps"
	"slices"

	"hermes-reconcile/policy"
)

// A Kind is what somebody asks of a pass.
type Kind int

// The kinds.
const (
	Converge   Kind = iota // make the profiles what the rules say
	Register               // make the slots of profiles that have none
	Start                  // start gateways, and record that they are to run
	Restart                // stop them first
	Release                // end holds, and start what should run
	Stop                   // stop gateways, and record that they are to be down
	Unregister             // and remove their slots
	Pause                  // stop gateways, and leave what is recorded of them
	Resume                 // end that
)

// A Request is what somebody asks, and of whom.
type Request struct {
	Kind     Kind
	Profiles []string // sorted; with Converge none means all
	All      bool     // every profile that Kind makes sense for, instead of Profiles
	Override bool     // Start: set the holds aside
	Pause    policy.Pause
}

// records reports whether the request records that the profiles are to run.
func (r Request) records() bool { return r.Kind == Start || r.Kind == Restart }

// pauses reports whether the request begins or ends a pause.
func (r Request) pauses() bool { return r.Kind == Pause || r.Kind == Resume }

// ownSlots returns the profiles that have a slot of ours, sorted.
func ownSlots(s policy.Slots) []string {
	slots := s.ByProfile()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(slots)), func(name string) bool { return !slots[name].Ours })
}

// observe adds how the slots of the named profiles are now.
func (p *pass) observe(ctx context.Context) {
	if len(p.report.Profiles) == 0 {
		return
	}
	now := p.Slots.Slots(ctx)
	slots := now.ByProfile()
	for name, o := range p.report.Profiles {
		slot, exists := slots[name]
		if o.Slot, o.Now = now.Words(slot, exists); o.Now == policy.NowUp {
			o.PID = slot.PID
		}
	}
}
