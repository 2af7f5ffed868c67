package facts

import (
	"context"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"hermes-reconcile/policy"
)

type resourcesFact struct {
	outcome
	MemoryLimit  *int64   `json:"memory_limit_bytes,omitempty"`
	OOMKills     *int64   `json:"memory_oom_kills,omitempty"`
	CPUs         *float64 `json:"cpus,omitempty"`
	TmpFreeBytes *int64   `json:"tmp_free_bytes,omitempty"`
}

// resources says what the container may use.
func resources(c Config) Source {
	return Source{"resources", resourcesSchema, func(context.Context) (any, error) {
		f := resourcesFact{outcome: recorded}
		f.MemoryLimit = parseWhole(c.cgroupText("memory.max"))
		f.OOMKills = parseWhole(eventCount(c.cgroupText("memory.events"), "oom_kill"))
		f.CPUs = parseCPUs(c.cgroupText("cpu.max"))
		if space, err := spaceOf(c.Tmp); err == nil {
			f.TmpFreeBytes = &space.free
		}
		if f.MemoryLimit == nil && f.OOMKills == nil && f.CPUs == nil && f.TmpFreeBytes == nil {
			f.outcome = outcome{Status: policy.StatusMissing}
		}
		return f, nil
	}}
}

func resourcesSchema() string {
	return fact(byOperator, "what the container may use, from its control group", properties{
		"memory_limit_bytes": integer("memory.max; absent without a limit"),
		"memory_oom_kills":   integer("oom_kill in memory.events: kills since the control group was made").from(byKernel),
		"cpus":               number("cpu.max: quota divided by period; absent without a limit"),
		"tmp_free_bytes":     integer("free space in /tmp").from(byAgent),
	})
}

func (c Config) cgroupText(name string) string {
	data, out := readPath(filepath.Join(c.Cgroup, name), maxState)
	if out.Status != "" {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func parseWhole(s string) *int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil // "max" too: there is no limit
	}
	return &n
}

func eventCount(events, name string) string {
	for line := range strings.Lines(events) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && key == name {
			return value
		}
	}
	return ""
}

func parseCPUs(s string) *float64 {
	quota, period, _ := strings.Cut(s, " ")
	q, errQuota := strconv.ParseFloat(quota, 64)
	p, errPeriod := strconv.ParseFloat(period, 64)
	if errQuota != nil || errPeriod != nil || q <= 0 || p <= 0 || math.IsInf(q, 0) {
		return nil
	}
	cpus := q / p
	return &cpus
}

// A space is how full a file system is, in bytes. What only root may use does
// not count as free.
type space struct{ free, total int64 }

func spaceOf(path string) (space, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return space{}, err
	}
	return space{free: blocks(s.Bavail, s.Bsize), total: blocks(s.Blocks, s.Bsize)}, nil
}

func blocks(n uint64, size int64) int64 {
	if size > 0 && n > uint64(math.MaxInt64/size) {
		return math.MaxInt64
	}
	return int64(n) * size
}
