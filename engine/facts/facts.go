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
	"hermes-reconcile/engine/ledger"
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

	marks      []string                               // OperatorFiles, and those that are always looked for
	inherited  func() *inherited                      // reads once
	tokenLocks func() tokenLocks                      // reads once
	lastLines  func() (map[string]ledger.Line, error) // reads once
}

func (c Config) withDefaults() Config {
	c.Proc = cmp.Or(c.Proc, "/proc")
	c.ManagedDir = cmp.Or(c.ManagedDir, "/etc/hermes")
	if c.Now == nil {
		c.Now = time.Now
	}
	c.marks = operatorNames(c.OperatorFiles)
	c.inherited = sync.OnceValue(c.inherit)
	c.tokenLocks = sync.OnceValue(c.readTokenLocks)
	c.lastLines = sync.OnceValues(func() (map[string]ledger.Line, error) { return ledger.Last(c.Root) })
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
			fact.OfContainer("multiplex", fact.ByAgent, "whether one gateway serves several profiles", func() multiplexFact { return multiplex(c.setup(c.Root)) }),
			fact.OfContainer("sentinels", fact.ByAgent, "files in the home that stop or hold the fleet", c.sentinels),
			fact.OfContainer("active_profile", fact.ByAgent, "the profile that commands without -p use", c.activeProfile),
			fact.OfContainer("disk", fact.ByKernel, "space on the volume, from statfs of the home", c.disk),
			fact.OfContainer("owner_lease", fact.ByAgent, "the container that owns the volume, from "+policy.LeaseFile+" in the home", c.ownerLease),
			fact.Within("profiles_dir", fact.ByAgent, "how listing the directory profiles of the home went; unreadable if it is a link or not a directory; the root profile exists anyway", c.profilesDir),
			fact.OfContainer("previous", fact.ByAgent, aboutPrevious, func() previousFact { return c.previous("") }),
		},
		Profile: []fact.ProfileSource{
			fact.OfProfile("name", fact.ByAgent, "whether the profile can have a slot", name),
			fact.OfProfile("markers", fact.ByAgent, "well-known files of the profile", markers),
			fact.OfProfile("prior_state", fact.ByAgent, "what the gateway and its operator last recorded, from gateway_state.json", priorState),
			fact.OfProfile("lifecycle", fact.ByAgent, "how the last gateway ended, from state/gateway.lifecycle.json", lifecycle),
			fact.OfProfile("runtime_files", fact.ByAgent, "files that name a running gateway", c.runtimeFiles),
			fact.OfProfile("tokens", fact.ByAgent, "credentials of the profile, as upstream's loader merges .env, config.yaml, the administrator's files and the container's environment; the status is that of .env", func(dir policy.Directory) tokensFact { return tokens(c.setup(dir)) }),
			fact.OfProfile("ports", fact.ByAgent, "ports of the profile, as upstream's loader merges .env, config.yaml, the administrator's files and the container's environment", func(dir policy.Directory) portsFact { return ports(entryOf(dir.Profile()), c.setup(dir)) }),
			fact.OfProfile("platforms", fact.ByAgent, "the messaging platforms of the profile, as upstream's loader merges .env, config.yaml, the administrator's files and the container's environment; the status is that of .env", func(dir policy.Directory) platformsFact { return platforms(c.setup(dir)) }),
			fact.OfProfile("starts", fact.ByAgent, "recent starts of the gateway, from gateway-starts.log", starts),
			fact.OfProfile("unclean_exits", fact.ByAgent, "deaths of the gateway that nothing recorded at the time, from the last 64 KiB of logs/gateway-exit-diag.log", uncleanExits),
			fact.OfProfile("restart_hold", fact.ByAgent, "the gateway used up its budget of deaths, from "+policy.RestartHoldFile+"; it stays down until the hold ends", c.restartHold),
			fact.OfProfile("config", fact.ByAgent, "what the profile is set up for; the status is that of config.yaml", c.profileConfig),
			fact.OfProfile("operator_files", fact.ByAgent, "files with which an operator marks a profile; the agent could make them too", c.operatorFiles),
			fact.OfProfile("ownership", fact.ByAgent, "who owns the directory of the profile", ownership),
			fact.OfProfile("log_directory", fact.ByAgent, "the directory of the slot's logger, logs/gateways/<profile> in the home; missing too for a name that no slot can have", c.logDirectory),
			fact.OfProfile("previous", fact.ByAgent, aboutPrevious+". A pass counts only if it decided about the profile", func(dir policy.Directory) previousFact {
				return c.previous(dir.Profile().Name)
			}),
		},
	}
}
