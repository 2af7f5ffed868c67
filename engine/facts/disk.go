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

func (c Config) disk() diskFact {
	free, total, err := read.Space(c.Home)
	if err != nil {
		return diskFact{Outcome: read.Outcome{Status: policy.StatusUnreadable, Error: read.Reason(err)}}
	}
	f := diskFact{Outcome: read.Recorded, HomeFreeBytes: free, HomeTotalBytes: total}
	if total > 0 {
		f.HomeFreePercent = 100 * float64(free) / float64(total)
	}
	return f
}
