package facts

import (
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

func (c Config) ownerLease() ownerLeaseFact {
	keys, out := read.JSON(c.Root, policy.LeaseFile, read.MaxState)
	f := ownerLeaseFact{
		Outcome: out, Host: keys.Text("host", 255), BootID: keys.Text("boot_id", 64), ContainerStart: keys.Moment("container_start"),
		ID: keys.Text("id", 64), SeenAtUnix: keys.Moment("seen_at"), TTL: keys.Integer("ttl"),
	}
	if f.SeenAtUnix != nil {
		f.SeenAt = keys.Text("seen_at", 64)
	}
	return f
}
