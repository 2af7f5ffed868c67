package container

import (
	"os"
	"strconv"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type identityFact struct {
	read.Outcome
	UID          int      `json:"uid" about:"effective user id"`
	GID          int      `json:"gid" about:"effective group id"`
	Capabilities []string `json:"capabilities" about:"effective capabilities, from CapEff in /proc/self/status" of:"name such as CAP_SETGID, or a number for a capability without a name here"`
	RootReadOnly *bool    `json:"root_read_only,omitempty" about:"the mount at / is read-only, from /proc/self/mountinfo"`
}

func (c Config) identity() identityFact {
	f := identityFact{Outcome: read.Recorded, UID: os.Geteuid(), GID: os.Getegid()}
	set, err := strconv.ParseUint(c.Proc.Status("self", "CapEff"), 16, 64)
	if err != nil {
		f.Outcome = read.Outcome{Status: policy.StatusUnreadable, Error: "the capabilities of this process cannot be read"}
	}
	f.Capabilities = capabilityNames(set)
	all, _, _ := c.mountPoints()
	for _, m := range all {
		if m.Point == "/" {
			f.RootReadOnly = &m.ReadOnly
		}
	}
	return f
}

// capabilities in the order of their bits in the kernel.
var capabilities = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE",
	"SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
	"AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE",
}

func capabilityNames(set uint64) []string {
	names := []string{}
	for bit := range 64 {
		switch {
		case set>>bit&1 == 0:
		case bit < len(capabilities):
			names = append(names, "CAP_"+capabilities[bit])
		default:
			names = append(names, strconv.Itoa(bit))
		}
	}
	return names
}
