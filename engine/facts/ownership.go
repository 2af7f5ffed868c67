package facts

import (
	"context"
	"fmt"
	"syscall"

	"hermes-reconcile/policy"
)

type ownershipFact struct {
	outcome
	UID      *uint32 `json:"uid,omitempty"`
	GID      *uint32 `json:"gid,omitempty"`
	Mode     string  `json:"mode,omitempty"`
	Writable bool    `json:"writable"`
}

// ownership says whose the directory of a profile is.
func ownership() ProfileSource {
	return ProfileSource{"ownership", ownershipSchema, func(_ context.Context, dir policy.Directory) (any, error) {
		info, err := dir.Lstat(".")
		if err != nil {
			return ownershipFact{outcome: outcomeOf(err)}, nil
		}
		f := ownershipFact{outcome: recorded, Mode: fmt.Sprintf("%04o", info.Mode().Perm())}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			f.UID, f.GID, f.Mode = &st.Uid, &st.Gid, fmt.Sprintf("%04o", st.Mode&0o7777)
		}
		if access, ok := dir.(interface{ Writable() bool }); ok {
			f.Writable = access.Writable()
		}
		return f, nil
	}}
}

func ownershipSchema() string {
	return fact(byAgent, "whose the directory of the profile is", properties{
		"uid":      integer("user that owns it"),
		"gid":      integer("group that owns it"),
		"mode":     text("permission bits in octal, such as 0755"),
		"writable": boolean("the user who collects the facts may make and remove files in it; false on a read-only file system"),
	})
}
