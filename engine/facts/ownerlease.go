package facts

import (
	"context"
)

type ownerLeaseFact struct {
	outcome
	Host       *string `json:"host,omitempty"`
	BootID     *string `json:"boot_id,omitempty"`
	SeenAt     *string `json:"seen_at,omitempty"`
	SeenAtUnix *int64  `json:"seen_at_unix,omitempty"`
}

// ownerLease says which container used the volume last.
func ownerLease(c Config) Source {
	return Source{"owner_lease", ownerLeaseSchema, func(context.Context) (any, error) {
		f := ownerLeaseFact{}
		var keys fields
		keys, f.outcome = readObject(c.Root, "state/reconcile.owner.json", maxState)
		f.Host = keys.text("host", 255)
		f.BootID = keys.text("boot_id", 64)
		f.SeenAtUnix = keys.moment("seen_at")
		if f.SeenAtUnix != nil {
			f.SeenAt = keys.text("seen_at", 64)
		}
		return f, nil
	}}
}

func ownerLeaseSchema() string {
	return fact(byAgent, "the container that owns the volume, from state/reconcile.owner.json in the home", properties{
		"host":         text("its host name"),
		"boot_id":      text("the boot of its kernel"),
		"seen_at":      text("when it was last seen, as it is written there; absent when it is a number"),
		"seen_at_unix": integer("the same in seconds since 1970"),
	})
}
