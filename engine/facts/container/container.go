// Package container holds the fact sources about the container itself, one file each: its
// processes, its environment, its image, and what the operator and the watch keep outside of
// the volume. None of them touches the volume, so root collects them itself.
package container

import (
	"cmp"
	"time"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// Config says where things are, so that a test can put them elsewhere. Empty fields mean the
// usual places.
type Config struct {
	Proc       read.Proc // "/proc"
	EnvDir     string    // see read.ReadEnvironment
	Environ    []string  // see read.ReadEnvironment
	Cgroup     string    // "/sys/fs/cgroup"
	Tmp        string    // "/tmp"
	CodeDir    string    // "/opt/hermes"
	Provenance string    // "/etc/hermes/image-provenance.json"
	RunDir     string    // "/run/hermes-reconcile": what the watch remembers
	StateDir   string    // holds the operator's overrides and pauses; empty: there are none

	Now func() time.Time // nil: time.Now
}

// Sources returns the sources. To add a fact, write its file and name it here.
func Sources(c Config) []fact.Source {
	c.Proc = cmp.Or(c.Proc, "/proc")
	c.Cgroup = cmp.Or(c.Cgroup, "/sys/fs/cgroup")
	c.Tmp = cmp.Or(c.Tmp, "/tmp")
	c.CodeDir = cmp.Or(c.CodeDir, "/opt/hermes")
	c.Provenance = cmp.Or(c.Provenance, "/etc/hermes/image-provenance.json")
	c.RunDir = cmp.Or(c.RunDir, "/run/hermes-reconcile")
	if c.Now == nil {
		c.Now = time.Now
	}
	return []fact.Source{
		fact.OfContainer("command", fact.ByImage, "the main command of the container, from /proc", c.command),
		fact.OfContainer("environment", fact.ByOperator, "the environment of the container", c.environment),
		fact.OfContainer("host", fact.ByKernel, "which container this is", c.host),
		fact.OfContainer("identity", fact.ByOperator, "the user and the permissions of the program", c.identity),
		fact.OfContainer("mounts", fact.ByOperator, "the mounts of the container, from /proc/self/mountinfo", c.mounts),
		fact.OfContainer("resources", fact.ByOperator, "what the container may use, from its control group", c.resources),
		fact.OfContainer("image", fact.ByImage, "which image this is", c.image),
		fact.OfContainer("overrides", fact.ByOperator, "holds of rules that an operator has set aside, from "+policy.OverridesFile+" in the state directory; unreadable if another user could have written the file", c.overrides),
		fact.OfContainer("pauses", fact.ByOperator, "gateways that root has paused, from "+policy.PausesFile+" in the state directory; unreadable if another user could have written the file", c.pauses),
		fact.OfContainer("own_lease", fact.ByOperator, "what the watch of this container remembers of the lease of the volume, from "+policy.LeaseMemoryFile+" in run_dir; missing without a watch", c.ownLease),
	}
}
