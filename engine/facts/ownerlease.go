package facts

import (
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type ownerLeaseFact struct {
	read.Outcome
	Host       *string `json:"host,omitempty" about:"host name of the container"`
	BootID     *string `json:"boot_id,omitempty" about:"identifies the boot of its kernel"`
	SeenAt     *string `json:"seen_at,omitempty" about:"when the container was last seen, as the file has it; absent when that is a number"`
	SeenAtUnix *int64  `json:"seen_at_unix,omitempty" about:"seen_at in seconds since 1970"`
}

// ownerLease is which container used the volume last.
func ownerLease(c Config) Source {
	return containerFact("owner_lease", byAgent, "the container that owns the volume, from state/reconcile.owner.json in the home", func() ownerLeaseFact {
		keys, out := read.JSON(c.Root, policy.LeaseFile, read.MaxState)
		f := ownerLeaseFact{out, keys.Text("host", 255), keys.Text("boot_id", 64), nil, keys.Moment("seen_at")}
		if f.SeenAtUnix != nil {
			f.SeenAt = keys.Text("seen_at", 64)
		}
		return f
	})
}
