package facts

import (
	"context"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type profilesDirFact struct {
	read.Outcome
	Entries   int  `json:"entries" about:"directories and links: the named profiles"`
	Others    int  `json:"others" about:"other entries, which are not profiles"`
	Truncated bool `json:"truncated" about:"the directory has more entries than were listed"`
}

// profilesDir is how listing the profiles went.
func (c Config) profilesDir(ctx context.Context) profilesDirFact {
	dir, err := c.ProfilesDir(ctx)
	if err != nil {
		return profilesDirFact{Outcome: read.Outcome{Status: policy.StatusTimedOut}}
	}
	return profilesDirFact{read.Outcome{Status: dir.Status, Error: dir.Error}, dir.Entries, dir.Others, dir.Truncated}
}
