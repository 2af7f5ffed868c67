package facts

import (
	"cmp"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

const maxTokenLocks = 2000

// tokenLocks are the locks by which gateways keep others from their tokens. All profiles share
// one directory for them.
type tokenLocks struct {
	status string
	// of has the locks by the directory of the profile whose gateway took them. Those of other
	// homes, and those whose gateway is not known, are under "".
	of map[string]map[string]runtimeFile
}

// readTokenLocks reads the directory of the token locks (gateway/status.py, _get_lock_dir). A
// directory outside of the home is not read.
func (c Config) readTokenLocks() tokenLocks {
	locks := tokenLocks{policy.StatusRecorded, map[string]map[string]runtimeFile{}}
	dir, below := c.below(c.tokenLockDir())
	if !below {
		locks.status = policy.StatusUnreadable
		return locks
	}
	entries, err := c.Root.ReadDir(dir, maxTokenLocks)
	if err != nil {
		locks.status = read.OutcomeOf(err).Status
		return locks
	}
	for _, entry := range entries {
		name := path.Join(dir, entry)
		info, err := c.Root.Lstat(name)
		if err != nil || !policy.IsTokenLock(name) {
			continue
		}
		file, owner := c.describeTokenLock(name, info)
		if locks.of[owner] == nil {
			locks.of[owner] = map[string]runtimeFile{}
		}
		locks.of[owner][name] = file
	}
	return locks
}

// tokenLockDir returns where gateways keep their token locks. In slots HOME is the home.
func (c Config) tokenLockDir() string {
	s := c.setup(c.Root)
	if dir, _ := s.variable("HERMES_GATEWAY_LOCK_DIR"); dir != "" {
		return dir
	}
	state, _ := s.variable("XDG_STATE_HOME")
	return filepath.Join(cmp.Or(state, filepath.Join(c.Home, ".local/state")), "hermes/gateway-locks")
}

// describeTokenLock describes a token lock. owner is the directory of the profile whose gateway
// took it, or "".
func (c Config) describeTokenLock(name string, info fs.FileInfo) (file runtimeFile, owner string) {
	file, keys := c.describeRuntimeFile(c.Root, name, info)
	word := strings.TrimSuffix(path.Base(name), ".lock")
	dash := strings.LastIndexByte(word, '-')
	file.Scope, file.Fingerprint = word[:dash], word[dash+1:]
	home := keys.Text("hermes_home", 4096)
	switch {
	case home != nil:
		owner, _ = c.below(*home)
	case file.Profile != nil && *file.Profile == policy.RootProfile:
		owner = "."
	case file.Profile != nil && slotName().MatchString(*file.Profile):
		owner = "profiles/" + *file.Profile
	}
	if info, err := c.Root.Lstat(cmp.Or(owner, ".")); err != nil || !info.IsDir() || owner != "." && path.Dir(owner) != "profiles" {
		return file, ""
	}
	file.Sweepable = isSweepable(file, probeGatewayLock(c.Root, owner))
	return file, owner
}

// below returns a path relative to the home, and whether it is the home or something in it.
// Gateways write the path of the home without links.
func (c Config) below(name string) (relative string, ok bool) {
	relative, err := filepath.Rel(c.Home, name)
	if err != nil || !filepath.IsLocal(relative) {
		home, _ := filepath.EvalSymlinks(c.Home) // "" fails below
		relative, err = filepath.Rel(home, name)
	}
	if err != nil || !filepath.IsLocal(relative) {
		return "", false
	}
	return relative, true
}
