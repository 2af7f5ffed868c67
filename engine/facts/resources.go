package facts

import (
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

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

// resources are what the container may use.
func resources(c Config) Source {
	return containerFact("resources", byOperator, "what the container may use, from its control group", func() resourcesFact {
		f := resourcesFact{
			Outcome: read.Recorded, MemoryLimit: parseWhole(c.cgroupText("memory.max")),
			OOMKills: parseWhole(read.Field([]byte(c.cgroupText("memory.events")), "oom_kill")), CPUs: parseCPUs(c.cgroupText("cpu.max")),
		}
		if space, err := spaceOf(c.Tmp); err == nil {
			f.TmpFreeBytes = &space.free
		}
		if f.MemoryLimit == nil && f.OOMKills == nil && f.CPUs == nil && f.TmpFreeBytes == nil {
			f.Status = policy.StatusMissing
		}
		return f
	})
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

// A space is how full a file system is, in bytes. Space that only root may use is not free.
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
