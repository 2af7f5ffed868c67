package container

import (
	"os"
	"path/filepath"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

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

func (c Config) ownLease() ownLeaseFact {
	keys, out := read.ObjectIn(read.Trusted(filepath.Join(c.RunDir, policy.LeaseMemoryFile), os.Geteuid()))
	return ownLeaseFact{
		Outcome: out, ID: keys.Text("id", 64), HeldUnix: keys.Integer("held_unix"), LostUnix: keys.Integer("lost_unix"), OtherID: keys.Text("other_id", 64),
		OtherSeenAt: keys.Integer("other_seen_at_unix"), Changed: keys.Integer("changed_unix"), Renewed: keys.Bool("renewed"),
	}
}
