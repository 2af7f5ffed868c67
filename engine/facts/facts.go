// Package facts holds the fact sources: each finds out one kind of thing about
// the container or about a profile and says in a JSON Schema what it may find.
//
// It knows the files of a home, the environment, /proc and the image. It does
// not know how to reach a file on the volume safely (a policy.Directory does),
// nor what a fact means: missing, unreadable, invalid and empty stay four
// different values, and the rules choose.
//
// No value of a secret leaves this package: names and fingerprints only. No
// error quotes what was read.
package facts

import (
	"context"
	"os"
	"time"

	"hermes-reconcile/policy"
)

// Config says where things are, so that a test can put them elsewhere. Empty
// fields mean the usual places; Root and Profiles have to be given for the
// sources that read the volume.
type Config struct {
	Home string // path of the home, as the plug-ins see it and for the free space
	// Root is the directory of the home.
	Root policy.Directory
	// Profiles lists the profiles, for the plug-ins.
	Profiles func(context.Context) ([]policy.Profile, error)
	Phase    string // policy.PhaseBoot or policy.PhaseApply, for the plug-ins

	Proc         string   // "/proc"
	EnvDir       string   // "/run/s6/container_environment"
	Environ      []string // nil: that of this process
	Cgroup       string   // "/sys/fs/cgroup"
	Tmp          string   // "/tmp"
	InstallStamp string   // "/opt/hermes/install-stamp.json"
	Provenance   string   // "/etc/hermes/image-provenance.json"

	FactsDir        string        // plug-ins; empty: none
	ExternalTimeout time.Duration // for one plug-in; 0: DefaultExternalTimeout
	// OnlyRoot says that root has this done under a user who is not trusted, and so
	// that no plug-in is believed which that user could have written.
	OnlyRoot bool

	// StateDir is where the operator's overrides are kept; empty: there are none.
	StateDir string

	// OperatorFiles are looked for in every profile, besides .no-auto-start and
	// .autostart.
	OperatorFiles []string

	Now func() time.Time // nil: time.Now
}

// withDefaults fills the empty fields in.
func (c Config) withDefaults() Config {
	for field, usual := range map[*string]string{
		&c.Home:         "/opt/data",
		&c.Phase:        policy.PhaseBoot,
		&c.Proc:         "/proc",
		&c.EnvDir:       "/run/s6/container_environment",
		&c.Cgroup:       "/sys/fs/cgroup",
		&c.Tmp:          "/tmp",
		&c.InstallStamp: "/opt/hermes/install-stamp.json",
		&c.Provenance:   "/etc/hermes/image-provenance.json",
	} {
		if *field == "" {
			*field = usual
		}
	}
	if c.Environ == nil {
		c.Environ = os.Environ()
	}
	if c.ExternalTimeout == 0 {
		c.ExternalTimeout = DefaultExternalTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// A Source finds out one kind of fact about the container. It is what the engine
// wants of one.
type Source struct {
	name    string
	schema  func() string
	collect func(context.Context) (any, error)
}

// Name is the key of the fact in input.container.
func (s Source) Name() string { return s.name }

// Schema is the JSON Schema of the value.
func (s Source) Schema() string { return s.schema() }

// Collect finds the fact out.
func (s Source) Collect(ctx context.Context) (any, error) { return s.collect(ctx) }

// A ProfileSource finds out one kind of fact about a profile.
type ProfileSource struct {
	name    string
	schema  func() string
	collect func(context.Context, policy.Directory) (any, error)
}

// Name is the key of the fact in input.profiles[<name>].
func (s ProfileSource) Name() string { return s.name }

// Schema is the JSON Schema of the value.
func (s ProfileSource) Schema() string { return s.schema() }

// Collect finds the fact out. It may be called for several profiles at once.
func (s ProfileSource) Collect(ctx context.Context, dir policy.Directory) (any, error) {
	return s.collect(ctx, dir)
}

// Sources are all built-in sources, by what they touch.
type Sources struct {
	Container []Source        // kernel, image and environment: nothing on the volume
	Volume    []Source        // facts about the container that are on the volume, and the plug-ins
	Profile   []ProfileSource // facts about each profile
}

// Builtin returns the sources. To add a fact, write its file and name it here.
// The plug-ins run once and answer in both Volume and Profile; in Profile they
// come last, so that no other fact waits for them.
func Builtin(c Config) Sources {
	c = c.withDefaults()
	plugins := newExternal(c)
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
		},
		Volume: []Source{
			multiplex(c),
			sentinels(c),
			activeProfile(c),
			disk(c),
			ownerLease(c),
			plugins.container(),
		},
		Profile: []ProfileSource{
			name(),
			markers(),
			priorState(),
			lifecycle(),
			runtimeFiles(c),
			tokens(),
			ports(),
			starts(),
			uncleanExits(),
			restartHold(c),
			profileConfig(),
			operatorFiles(c),
			ownership(),
			logDirectory(c),
			plugins.profile(),
		},
	}
}
