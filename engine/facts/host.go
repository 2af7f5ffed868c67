package facts

import (
	"context"
	"path/filepath"
	"time"

	"hermes-reconcile/policy"
)

type hostFact struct {
	outcome
	Hostname      string `json:"hostname,omitempty"`
	BootID        string `json:"boot_id,omitempty"`
	StartedAt     string `json:"started_at,omitempty"`
	StartedAtUnix int64  `json:"started_at_unix,omitempty"`
}

// host says which container this is and since when.
func host(c Config) Source {
	return Source{"host", hostSchema, func(context.Context) (any, error) {
		f := hostFact{outcome: recorded}
		f.Hostname = c.kernelText("hostname")
		f.BootID = c.kernelText("random/boot_id")
		if t, ok := c.started(); ok {
			f.StartedAtUnix = t
			f.StartedAt = time.Unix(t, 0).UTC().Format(time.RFC3339)
		}
		if f.Hostname == "" && f.BootID == "" && f.StartedAt == "" {
			f.outcome = outcome{policy.StatusUnreadable, "/proc cannot be read"}
		}
		return f, nil
	}}
}

func hostSchema() string {
	return fact(byKernel, "which container this is", properties{
		"hostname":        text("/proc/sys/kernel/hostname").from(byOperator),
		"boot_id":         text("/proc/sys/kernel/random/boot_id: the boot of the kernel, which several containers share"),
		"started_at":      text("start of PID 1 as RFC 3339 in UTC: its start time in /proc/1/stat and btime in /proc/stat"),
		"started_at_unix": integer("the same in seconds since 1970"),
	})
}

func (c Config) kernelText(name string) string {
	data, out := readPath(filepath.Join(c.Proc, "sys/kernel", name), 4096)
	if out.Status != "" {
		return ""
	}
	return firstLine(data, 255)
}

// started is when PID 1 started, in seconds since 1970.
func (c Config) started() (int64, bool) {
	first, err := c.process(1)
	booted, ok := c.bootTime()
	if err != nil || !ok {
		return 0, false
	}
	return booted + int64(first.started/clockTicks), true
}
