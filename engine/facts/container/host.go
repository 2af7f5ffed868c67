package container

import (
	"time"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type hostFact struct {
	read.Outcome
	Hostname      string `json:"hostname,omitempty" about:"/proc/sys/kernel/hostname" by:"operator"`
	BootID        string `json:"boot_id,omitempty" about:"/proc/sys/kernel/random/boot_id: identifies the boot of the kernel, which several containers share"`
	StartedAt     string `json:"started_at,omitempty" about:"start of PID 1 as RFC 3339 in UTC, from its start time in /proc/1/stat and btime in /proc/stat"`
	StartedAtUnix int64  `json:"started_at_unix,omitempty" about:"started_at in seconds since 1970"`
}

func (c Config) host() hostFact {
	f := hostFact{Outcome: read.Recorded, Hostname: c.Proc.Kernel("hostname"), BootID: c.Proc.Kernel("random/boot_id")}
	if t, ok := c.Proc.ContainerStarted(); ok {
		f.StartedAtUnix = t
		f.StartedAt = time.Unix(t, 0).UTC().Format(time.RFC3339)
	}
	if f.Hostname == "" && f.BootID == "" && f.StartedAt == "" {
		f.Outcome = read.Outcome{Status: policy.StatusUnreadable, Error: "/proc cannot be read"}
	}
	return f
}
