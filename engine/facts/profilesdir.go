package facts

import (
	"context"

	"hermes-reconcile/engine/facts/fact"
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
func profilesDir(c Config) fact.Source {
	const about = "how listing the directory profiles of the home went; unreadable if it is a link or not a directory; the root profile exists anyway"
	return fact.Within("profiles_dir", fact.ByAgent, about, func(ctx context.Context) profilesDirFact {
		dir, err := c.ProfilesDir(ctx)
		if err != nil {
			return profilesDirFact{Outcome: read.Outcome{Status: policy.StatusTimedOut}}
		}
		return profilesDirFact{read.Outcome{Status: dir.Status, Error: dir.Error}, dir.Entries, dir.Others, dir.Truncated}
	})
}
