package facts

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"hermes-reconcile/policy"
)

type identityFact struct {
	outcome
	UID          int      `json:"uid"`
	GID          int      `json:"gid"`
	Capabilities []string `json:"capabilities"`
	RootReadOnly *bool    `json:"root_read_only,omitempty"`
}

// identity says as whom this process runs and what it may do.
func identity(c Config) Source {
	return Source{"identity", identitySchema, func(context.Context) (any, error) {
		f := identityFact{outcome: recorded, UID: os.Geteuid(), GID: os.Getegid(), Capabilities: []string{}}
		data, out := readPath(filepath.Join(c.Proc, "self/status"), maxState)
		set, err := strconv.ParseUint(statusField(data, "CapEff"), 16, 64)
		if out.Status != "" || err != nil {
			f.outcome = outcome{policy.StatusUnreadable, "the capabilities of this process cannot be read"}
		}
		f.Capabilities = capabilityNames(set)
		if all, _, err := c.mountPoints(); err == nil {
			for _, m := range all {
				if m.Point == "/" {
					f.RootReadOnly = &m.ReadOnly
				}
			}
		}
		return f, nil
	}}
}

func identitySchema() string {
	return fact(byOperator, "as whom the program runs", properties{
		"uid":            integer("effective user id"),
		"gid":            integer("effective group id"),
		"capabilities":   list("effective capabilities, from CapEff in /proc/self/status", text("name such as CAP_SETGID, or a number where it has none here")),
		"root_read_only": boolean("the mount at / is read-only, from /proc/self/mountinfo"),
	})
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
