// Package facts holds the fact sources that read the volume, one file each. A source finds out
// one kind of thing about the home or about a profile, and its schema describes all that it may
// find. Package container has the sources that do not touch the volume.
//
// A source knows what a file means. It does not know how the file is parsed (read does) or
// reached safely (a policy.Directory does), and it does not decide: missing, unreadable,
// invalid and empty stay four different values, and the rules choose.
//
// No value of a secret becomes a fact, only names and fingerprints. No error quotes a file.
package facts

import (
	"cmp"
	"context"
	"sync"
	"time"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// Config says where things are, so that a test can put them elsewhere. Empty fields mean the
// usual places. Root and ProfilesDir are required by the sources that read the volume.
type Config struct {
	Home string // path of the home, for the free space
	// Root is the directory of the home.
	Root policy.Directory
	// ProfilesDir describes how listing the profiles went.
	ProfilesDir func(context.Context) (policy.ProfilesDir, error)
	Phase       string // policy.PhaseBoot or policy.PhaseApply

	Proc       read.Proc // "/proc"
	EnvDir     string    // see read.ReadEnvironment
	Environ    []string  // see read.ReadEnvironment
	ManagedDir string    // "/etc/hermes", if HERMES_MANAGED_DIR names no other

	// OperatorFiles are looked for in every profile, besides .no-auto-start and .autostart.
	OperatorFiles []string

	// ConfigKeys are keys of config.yaml, with dots between them, that become facts.
	ConfigKeys []string

	Now func() time.Time // nil: time.Now

	inherited  func() *inherited // reads once
	tokenLocks func() tokenLocks // reads once
	lastLines  func() lastLines  // reads once
}

// withDefaults fills in the empty fields.
func (c Config) withDefaults() Config {
	c.Home = cmp.Or(c.Home, "/opt/data")
	c.Phase = cmp.Or(c.Phase, policy.PhaseBoot)
	c.Proc = cmp.Or(c.Proc, "/proc")
	c.ManagedDir = cmp.Or(c.ManagedDir, "/etc/hermes")
	if c.Now == nil {
		c.Now = time.Now
	}
	c.inherited = sync.OnceValue(c.inherit)
	c.tokenLocks = sync.OnceValue(c.readTokenLocks)
	c.lastLines = sync.OnceValue(c.readLastLines)
	return c
}

// Sources are the built-in sources that read the volume.
type Sources struct {
	Volume  []fact.Source        // facts about the container that are on the volume
	Profile []fact.ProfileSource // facts about each profile
}

// Builtin returns the sources. To add a fact, write its file and name it here.
func Builtin(c Config) Sources {
	c = c.withDefaults()
	return Sources{
		Volume: []fact.Source{
			multiplex(c),
			sentinels(c),
			activeProfile(c),
			disk(c),
			ownerLease(c),
			profilesDir(c),
			previous(c),
		},
		Profile: []fact.ProfileSource{
			name(),
			markers(),
			priorState(),
			lifecycle(),
			runtimeFiles(c),
			c.tokens(),
			c.ports(),
			c.platforms(),
			starts(),
			uncleanExits(),
			restartHold(c),
			c.profileConfig(),
			operatorFiles(c),
			ownership(),
			logDirectory(c),
			previousOfProfile(c),
		},
	}
}
