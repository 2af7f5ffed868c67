// Package remote does the work on the volume: facts, sweeps, seeds, intents and logs. As
// root it does the work in a child process under the unprivileged user: a planted link then
// leads to nothing that the agent could not reach itself, and a volume that hangs does not
// stop the parent. The package holds both ends of the pipes to the child.
//
// The package knows which sources read the volume. It knows no rules, no supervisor, no
// flags and no configuration.
package remote

import (
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/facts"
	"hermes-reconcile/engine/volume"
)

// Settings are what the work on the volume needs to know.
type Settings struct {
	Home            string
	Phase           string
	FactsDir        string
	Timeout         time.Duration // for all facts
	SourceTimeout   time.Duration
	ExternalTimeout time.Duration
	OperatorFiles   []string
	OnlyRoot        bool  // the program runs as root, see facts.Config
	User            *User // the child becomes this user before it opens anything; nil: it stays who it is
}

// A User is the unprivileged user.
type User struct{ UID, GID int }

// Sources returns the sources that read the volume. A nil home serves for their schemas.
func Sources(s Settings, home *volume.Home) ([]engine.Source, []engine.ProfileSource) {
	var config facts.Config
	if home != nil {
		config.Root, config.Profiles = home.Root(), home.Profiles
	}
	config.Home, config.Phase, config.FactsDir = s.Home, s.Phase, s.FactsDir
	config.ExternalTimeout, config.OperatorFiles, config.OnlyRoot = s.ExternalTimeout, s.OperatorFiles, s.OnlyRoot
	builtin := facts.Builtin(config)
	var ofVolume []engine.Source
	for _, source := range builtin.Volume {
		ofVolume = append(ofVolume, source)
	}
	ofVolume = append(ofVolume, home.ProfilesDir())
	var ofProfile []engine.ProfileSource
	for _, source := range builtin.Profile {
		ofProfile = append(ofProfile, source)
	}
	return ofVolume, ofProfile
}
