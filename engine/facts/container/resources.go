package container

import (
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type resourcesFact struct {
	read.Outcome
	MemoryLimit  *int64   `json:"memory_limit_bytes,omitempty" about:"memory.max; absent without a limit"`
	OOMKills     *int64   `json:"memory_oom_kills,omitempty" about:"oom_kill in memory.events: processes killed since the control group was made" by:"kernel"`
	CPUs         *float64 `json:"cpus,omitempty" about:"cpu.max: quota divided by period; absent without a limit"`
	TmpFreeBytes *int64   `json:"tmp_free_bytes,omitempty" about:"free space in /tmp" by:"agent"`
}

func (c Config) resources() resourcesFact {
	f := resourcesFact{
		Outcome: read.Recorded, MemoryLimit: parseWhole(c.cgroupText("memory.max")),
		OOMKills: parseWhole(read.Field([]byte(c.cgroupText("memory.events")), "oom_kill")), CPUs: parseCPUs(c.cgroupText("cpu.max")),
	}
	if free, _, err := read.Space(c.Tmp); err == nil {
		f.TmpFreeBytes = &free
	}
	if f.MemoryLimit == nil && f.OOMKills == nil && f.CPUs == nil && f.TmpFreeBytes == nil {
		f.Status = policy.StatusMissing
	}
	return f
}

func (c Config) cgroupText(name string) string {
	data, _ := read.Path(filepath.Join(c.Cgroup, name), read.MaxState)
	return strings.TrimSpace(string(data))
}

func parseWhole(s string) *int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil // "max" too: there is no limit
	}
	return &n
}

func parseCPUs(s string) *float64 {
	quota, period, _ := strings.Cut(s, " ")
	q, errQuota := strconv.ParseFloat(quota, 64)
	p, errPeriod := strconv.ParseFloat(period, 64)
	if errQuota != nil || errPeriod != nil || q <= 0 || p <= 0 || math.IsInf(q, 0) {
		return nil
	}
	return new(q / p)
}
