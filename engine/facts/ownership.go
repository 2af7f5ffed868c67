package facts

import (
	"fmt"
	"syscall"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type ownershipFact struct {
	read.Outcome
	UID      *uint32 `json:"uid,omitempty" about:"user that owns the directory"`
	GID      *uint32 `json:"gid,omitempty" about:"group that owns the directory"`
	Mode     string  `json:"mode,omitempty" about:"permission bits in octal, such as 0755"`
	Writable bool    `json:"writable" about:"the user who collects the facts may make and remove files in the directory; false on a read-only file system"`
}

func ownership(dir policy.Directory) ownershipFact {
	info, err := dir.Lstat(".")
	if err != nil {
		return ownershipFact{Outcome: read.OutcomeOf(err)}
	}
	f := ownershipFact{Outcome: read.Recorded, Mode: fmt.Sprintf("%04o", info.Mode().Perm()), Writable: dir.Writable()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		f.UID, f.GID, f.Mode = &st.Uid, &st.Gid, fmt.Sprintf("%04o", st.Mode&0o7777)
	}
	return f
}
