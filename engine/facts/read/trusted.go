package read

import (
	"errors"
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

// OpenTrusted opens a regular file, not a link, that only root or the user owner could
// have written or replaced.
func OpenTrusted(path string, owner int) (*os.File, os.FileInfo, Outcome) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, nil, OutcomeOf(policy.ErrNotRegular)
	}
	f, info, err := trust.Open(path, trust.Only(owner))
	if untrusted, ok := errors.AsType[*trust.Error](err); ok {
		return nil, nil, Outcome{policy.StatusUnreadable, "it, or a folder above it, " + untrusted.Why}
	}
	return f, info, OutcomeOf(err)
}
