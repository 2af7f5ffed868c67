package volume

import (
	"context"
	"errors"
	"io/fs"

	"hermes-reconcile/policy"
)

// ProfilesDir returns the source of the container fact "profiles_dir": how the
// listing of the profiles went.
func (h *Home) ProfilesDir() ProfilesDir { return ProfilesDir{h} }

// ProfilesDir is a source as the engine wants one.
type ProfilesDir struct{ home *Home }

// Name is "profiles_dir".
func (ProfilesDir) Name() string { return "profiles_dir" }

// Schema describes the fact.
func (ProfilesDir) Schema() string { return profilesDirSchema }

const profilesDirSchema = `{
  "type": "object",
  "description": "how listing the directory profiles of the home went",
  "x-written-by": "agent",
  "properties": {
    "status": {"type": "string", "enum": ["missing", "unreadable", "empty", "recorded", "timed_out", "failed"], "description": "unreadable: a link, not a directory, or no permission; the root profile exists anyway", "x-written-by": "agent"},
    "error": {"type": "string", "description": "what went wrong", "x-written-by": "kernel"},
    "entries": {"type": "integer", "description": "directories and links: the named profiles", "x-written-by": "agent"},
    "others": {"type": "integer", "description": "other entries, which are not profiles", "x-written-by": "agent"},
    "truncated": {"type": "boolean", "description": "the directory has more entries than were listed", "x-written-by": "agent"}
  },
  "additionalProperties": false
}`

// Collect describes the last listing by Profiles. It lists them if they were not listed yet.
func (s ProfilesDir) Collect(ctx context.Context) (any, error) {
	l, err := s.home.lastListing(ctx)
	if err != nil {
		return nil, err
	}
	fact := policy.ProfilesDir{Status: policy.StatusRecorded, Entries: len(l.entries), Others: l.others, Truncated: l.truncated}
	switch {
	case errors.Is(l.err, fs.ErrNotExist):
		fact.Status = policy.StatusMissing
	case errors.Is(l.err, policy.ErrNotRegular):
		fact.Status, fact.Error = policy.StatusUnreadable, "not a directory, or a link to one"
	case l.err != nil:
		fact.Status, fact.Error = policy.StatusUnreadable, unwrapPath(l.err).Error()
	case len(l.entries) == 0:
		fact.Status = policy.StatusEmpty
	}
	return fact, nil
}

func (h *Home) lastListing(ctx context.Context) (listing, error) {
	h.mu.Lock()
	l, listed := h.listing, h.listed
	h.mu.Unlock()
	if listed {
		return l, nil
	}
	if _, err := h.Profiles(ctx); err != nil {
		return listing{}, err
	}
	return h.lastListing(ctx)
}
