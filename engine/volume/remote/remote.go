// Package remote does the work on the volume, such as facts, sweeps, intents and logs, in a
// child process. For root, the child becomes the unprivileged user: a planted link then leads
// to nothing that the agent could not reach itself. A volume that hangs does not stop the
// parent. The package holds both ends of the pipes to the child.
//
// The package knows which sources read the volume. It knows no rules, no supervisor, no flags
// and no configuration.
package remote

import (
	"time"

	"hermes-reconcile/engine/facts"
	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/volume"
)

// Settings are what the work on the volume needs to know.
type Settings struct {
	Home          string
	Phase         string
	Timeout       time.Duration // for all facts
	SourceTimeout time.Duration
	OperatorFiles []string
	ConfigKeys    []string
	User          *User // the child becomes this user before it opens anything; nil: it stays who it is
}

// A User is the unprivileged user.
type User struct{ UID, GID int }

// Sources returns the sources that read the volume. A nil home serves for their schemas.
func Sources(s Settings, home *volume.Home) ([]fact.Source, []fact.ProfileSource) {
	config := facts.Config{Home: s.Home, Phase: s.Phase, OperatorFiles: s.OperatorFiles, ConfigKeys: s.ConfigKeys}
	if home != nil {
		config.Root, config.ProfilesDir = home.Root(), home.ProfilesDir
	}
	builtin := facts.Builtin(config)
	return builtin.Volume, builtin.Profile
}
