package volume

import (
	"context"
	"errors"
	"io/fs"

	"hermes-reconcile/policy"
)

// ProfilesDir describes the last listing by Profiles. It lists the profiles if they were not
// listed yet. The error is that of ctx.
func (h *Home) ProfilesDir(ctx context.Context) (policy.ProfilesDir, error) {
	h.mu.Lock()
	l, listed := h.listing, h.listed
	h.mu.Unlock()
	if !listed {
		if _, err := h.Profiles(ctx); err != nil {
			return policy.ProfilesDir{}, err
		}
		return h.ProfilesDir(ctx)
	}
	dir := policy.ProfilesDir{Status: policy.StatusRecorded, Entries: len(l.entries), Others: l.others, Truncated: l.truncated}
	switch {
	case errors.Is(l.err, fs.ErrNotExist):
		dir.Status = policy.StatusMissing
	case errors.Is(l.err, policy.ErrNotRegular):
		dir.Status, dir.Error = policy.StatusUnreadable, "not a directory, or a link to one"
	case l.err != nil:
		dir.Status, dir.Error = policy.StatusUnreadable, unwrapPath(l.err).Error()
	case len(l.entries) == 0:
		dir.Status = policy.StatusEmpty
	}
	return dir, nil
}
