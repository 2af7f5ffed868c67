// Package facts holds the fact sources, one file each. A source finds out one kind of thing
// about the container or about a profile, and its schema describes all that it may find.
//
// A source knows what a file means. It does not know how the file is parsed (read does) or
// reached safely (a policy.Directory does), and it does not decide: missing, unreadable,
// invalid and empty stay four different values, and the rules choose.
//
// No value of a secret leaves this package, only names and fingerprints. No error quotes a
// file.
package facts

import (
	"cmp"
	"context"
	"os"
	"sync"
	"time"

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
	EnvDir     string    // "/run/s6/container_environment"
	Environ    []string  // nil: that of this process
	Cgroup     string    // "/sys/fs/cgroup"
	Tmp        string    // "/tmp"
	CodeDir    string    // "/opt/hermes"
	Provenance string    // "/etc/hermes/image-provenance.json"
	ManagedDir string    // "/etc/hermes", if HERMES_MANAGED_DIR names no other
	RunDir     string    // "/run/hermes-reconcile": what the watch remembers

	// StateDir holds the operator's overrides; empty: there are none.
	StateDir string

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
	c.EnvDir = cmp.Or(c.EnvDir, "/run/s6/container_environment")
	c.Cgroup = cmp.Or(c.Cgroup, "/sys/fs/cgroup")
	c.Tmp = cmp.Or(c.Tmp, "/tmp")
	c.CodeDir = cmp.Or(c.CodeDir, "/opt/hermes")
	c.ManagedDir = cmp.Or(c.ManagedDir, "/etc/hermes")
	c.RunDir = cmp.Or(c.RunDir, "/run/hermes-reconcile")
	c.Provenance = cmp.Or(c.Provenance, "/etc/hermes/image-provenance.json")
	if c.Environ == nil {
		c.Environ = os.Environ()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.inherited = sync.OnceValue(c.inherit)
	c.tokenLocks = sync.OnceValue(c.readTokenLocks)
	c.lastLines = sync.OnceValue(c.readLastLines)
	return c
}

// described is the name of a fact and its schema.
type described struct {
	name   string
	schema func() string
}

// Name is the key of the fact in input.container or in input.profiles[<name>].
func (d described) Name() string { return d.name }

// Schema is the JSON Schema of the value.
func (d described) Schema() string { return d.schema() }

// A Source finds out one kind of fact about the container.
type Source struct {
	described
	collect func(context.Context) any
}

// Collect finds out the fact. The error is always nil.
func (s Source) Collect(ctx context.Context) (any, error) { return s.collect(ctx), nil }

// containerFact returns a source of facts of type T.
func containerFact[T any](name string, by writer, about string, collect func() T) Source {
	return Source{described{name, schemaText[T](by, about)}, func(context.Context) any { return collect() }}
}

// A ProfileSource finds out one kind of fact about a profile.
type ProfileSource struct {
	described
	collect func(policy.Directory) any
}

// Collect finds out the fact. It may be called for several profiles at once. The error is
// always nil.
func (s ProfileSource) Collect(_ context.Context, dir policy.Directory) (any, error) {
	return s.collect(dir), nil
}

// profileFact returns a source of facts of type T.
func profileFact[T any](name string, by writer, about string, collect func(policy.Directory) T) ProfileSource {
	return ProfileSource{described{name, schemaText[T](by, about)}, func(dir policy.Directory) any { return collect(dir) }}
}

// Sources are all built-in sources, by what they touch.
type Sources struct {
	Container []Source        // kernel, image and environment: nothing on the volume
	Volume    []Source        // facts about the container that are on the volume
	Profile   []ProfileSource // facts about each profile
}

// Builtin returns the sources. To add a fact, write its file and name it here.
func Builtin(c Config) Sources {
	c = c.withDefaults()
	return Sources{
		Container: []Source{
			command(c),
			environment(c),
			host(c),
			identity(c),
			mounts(c),
			resources(c),
			image(c),
			overrides(c),
			ownLease(c),
		},
		Volume: []Source{
			multiplex(c),
			sentinels(c),
			activeProfile(c),
			disk(c),
			ownerLease(c),
			profilesDir(c),
			previous(c),
		},
		Profile: []ProfileSource{
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
