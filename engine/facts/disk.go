package facts

import (
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type diskFact struct {
	read.Outcome
	HomeFreeBytes   int64   `json:"home_free_bytes" about:"free for the unprivileged user"`
	HomeTotalBytes  int64   `json:"home_total_bytes" about:"size of the file system"`
	HomeFreePercent float64 `json:"home_free_percent" about:"free in percent of the size, 0 to 100"`
}

// disk is how full the volume is.
func disk(c Config) Source {
	return containerFact("disk", byKernel, "space on the volume, from statfs of the home", func() diskFact {
		s, err := spaceOf(c.Home)
		if err != nil {
			return diskFact{Outcome: read.Outcome{Status: policy.StatusUnreadable, Error: read.Reason(err)}}
		}
		f := diskFact{Outcome: read.Recorded, HomeFreeBytes: s.free, HomeTotalBytes: s.total}
		if s.total > 0 {
			f.HomeFreePercent = 100 * float64(s.free) / float64(s.total)
		}
		return f
	})
}
