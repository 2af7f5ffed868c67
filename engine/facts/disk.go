package facts

import (
	"context"

	"hermes-reconcile/policy"
)

type diskFact struct {
	outcome
	HomeFreeBytes   int64   `json:"home_free_bytes"`
	HomeTotalBytes  int64   `json:"home_total_bytes"`
	HomeFreePercent float64 `json:"home_free_percent"`
}

// disk says how full the volume is.
func disk(c Config) Source {
	return Source{"disk", diskSchema, func(context.Context) (any, error) {
		s, err := spaceOf(c.Home)
		if err != nil {
			return diskFact{outcome: outcome{policy.StatusUnreadable, reason(err)}}, nil
		}
		f := diskFact{outcome: recorded, HomeFreeBytes: s.free, HomeTotalBytes: s.total}
		if s.total > 0 {
			f.HomeFreePercent = 100 * float64(s.free) / float64(s.total)
		}
		return f, nil
	}}
}

func diskSchema() string {
	return fact(byKernel, "space on the volume, from statfs of the home", properties{
		"home_free_bytes":   integer("free for the unprivileged user"),
		"home_total_bytes":  integer("size of the file system"),
		"home_free_percent": number("free in percent of the size, 0 to 100"),
	})
}
