package facts

import (
	"context"

	"hermes-reconcile/policy"
)

func (c Config) profilesDir(ctx context.Context) policy.ProfilesDir {
	dir, err := c.ProfilesDir(ctx)
	if err != nil {
		return policy.ProfilesDir{Status: policy.StatusTimedOut}
	}
	return dir
}
