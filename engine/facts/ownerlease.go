package facts

import (
	"os"
	"path/filepath"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type ownerLeaseFact struct {
	read.Outcome
	Host           *string `json:"host,omitempty" about:"host name of the container"`
	BootID         *string `json:"boot_id,omitempty" about:"identifies the boot of its kernel"`
	ContainerStart *int64  `json:"container_start_unix,omitempty" about:"container_start: when the container started, in seconds since 1970 by its clock"`
	ID             *string `json:"id,omitempty" about:"id of the lease, which a watch keeps as long as its container runs"`
	SeenAt         *string `json:"seen_at,omitempty" about:"when the container was last seen, as the file has it; absent when that is a number"`
	SeenAtUnix     *int64  `json:"seen_at_unix,omitempty" about:"seen_at in seconds since 1970, by the clock of that container"`
	TTL            *int64  `json:"ttl_seconds,omitempty" about:"ttl: how long the lease counts after seen_at"`
}

// ownerLease is which container used the volume last.
func ownerLease(c Config) Source {
	return containerFact("owner_lease", byAgent, "the container that owns the volume, from "+policy.LeaseFile+" in the home", func() ownerLeaseFact {
		keys, out := read.JSON(c.Root, policy.LeaseFile, read.MaxState)
		f := ownerLeaseFact{
			Outcome: out, Host: keys.Text("host", 255), BootID: keys.Text("boot_id", 64), ContainerStart: keys.Moment("container_start"),
			ID: keys.Text("id", 64), SeenAtUnix: keys.Moment("seen_at"), TTL: keys.Integer("ttl"),
		}
		if f.SeenAtUnix != nil {
			f.SeenAt = keys.Text("seen_at", 64)
		}
		return f
	})
}

type ownLeaseFact struct {
	read.Outcome
	ID          *string `json:"id,omitempty" about:"id of the lease that this container writes"`
	HeldUnix    *int64  `json:"held_unix,omitempty" about:"when it took the lease, in seconds since 1970; absent without the lease"`
	LostUnix    *int64  `json:"lost_unix,omitempty" about:"when the watch saw that another container had taken it; absent if none has"`
	OtherID     *string `json:"other_id,omitempty" about:"id of the last lease of another container that the watch saw; empty for a lease without one"`
	OtherSeenAt *int64  `json:"other_seen_at_unix,omitempty" about:"seen_at of that lease"`
	Changed     *int64  `json:"changed_unix,omitempty" about:"when the watch saw another state of that lease before, in seconds since 1970 by the clock of this container"`
	Renewed     *bool   `json:"renewed,omitempty" about:"the watch has seen that lease being renewed"`
}

// ownLease is what the watch of this container remembers of the lease.
func ownLease(c Config) Source {
	const about = "what the watch of this container remembers of the lease of the volume, from " + policy.LeaseMemoryFile + " in run_dir; missing without a watch"
	return containerFact("own_lease", byOperator, about, func() ownLeaseFact {
		data, out := read.Trusted(filepath.Join(c.RunDir, policy.LeaseMemoryFile), os.Geteuid())
		var keys read.Object
		if out.Status == "" {
			keys, out = read.ParseObject(data)
		}
		return ownLeaseFact{
			Outcome: out, ID: keys.Text("id", 64), HeldUnix: keys.Integer("held_unix"), LostUnix: keys.Integer("lost_unix"), OtherID: keys.Text("other_id", 64),
			OtherSeenAt: keys.Integer("other_seen_at_unix"), Changed: keys.Integer("changed_unix"), Renewed: keys.Bool("renewed"),
		}
	})
}
