package read

import (
	"os"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
)

// Trusted reads a file like OpenTrusted, up to MaxConfig bytes.
func Trusted(path string, owner int) ([]byte, Outcome) {
	f, _, out := OpenTrusted(path, owner)
	if out.Status != "" {
		return nil, out
	}
	defer f.Close()
	return all(f, MaxConfig)
}

// NotBy reads a regular file that a user could neither have written nor replaced, up to limit
// bytes. It follows links that are trusted too.
func NotBy(path string, uid, gid int, limit int64) ([]byte, Outcome) {
	f, _, err := trust.Open(path, trust.NotBy(uid, gid))
	if err != nil {
		return nil, OutcomeOf(err)
	}
	defer f.Close()
	return all(f, limit)
}

// OpenTrusted opens a regular file, not a link, that only root or the user owner could
// have written or replaced.
func OpenTrusted(path string, owner int) (*os.File, os.FileInfo, Outcome) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, nil, OutcomeOf(policy.ErrNotRegular)
	}
	f, info, err := trust.Open(path, trust.Only(owner))
	return f, info, OutcomeOf(err)
}
