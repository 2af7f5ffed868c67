// Package remote does the work on the volume: facts, sweeps, seeds, intents and logs. As
// root it does all of it in a child process under the unprivileged user, so that neither a
// planted link nor a volume that hangs becomes root's problem. Both ends of the pipe to
// the child are here.
//
// The package knows which sources read the volume. It knows no rules, no supervisor, no
// flags and no configuration.
package remote

import (
	"context"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/facts"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/volume"
	"hermes-reconcile/policy"
)

// A Volume does the work on the volume.
type Volume interface {
	// Collect returns the facts about the container that are on the volume, and
	// calls emit with the facts of each profile, one call at a time. With an
	// error it has called emit for the profiles that it got to.
	Collect(ctx context.Context, emit func(profile string, facts policy.Facts)) (policy.Facts, error)
	// An executor of sweeps and seeds.
	engine.Executor
	// Change reads or writes what a life cycle command has to do with a profile. The
	// error wraps fs.ErrNotExist where there is no such profile.
	Change(ctx context.Context, c engine.Change) (engine.Changed, error)
	// AppendLog appends text to logs/<name> in the home.
	AppendLog(ctx context.Context, name string, text []byte) error
	// Ledger returns the lines of the ledger that are about a profile or about the
	// container, oldest first.
	Ledger(ctx context.Context, profile string) ([]ledger.Line, error)
	// Runs returns what the ledger has of the newest runs.
	Runs(ctx context.Context, q ledger.Query) (ledger.Runs, error)
	Close()
}

// Settings is what the volume's side has to know.
type Settings struct {
	Home            string
	Phase           string
	FactsDir        string
	Timeout         time.Duration // for all facts
	SourceTimeout   time.Duration
	ExternalTimeout time.Duration
	OperatorFiles   []string
	OnlyRoot        bool  // this is root's work, see facts.Config
	User            *User // who the child becomes before it looks at anything; nil: who we are
}

// A User is the unprivileged one.
type User struct{ UID, GID int }

// Sources are the sources that read the volume.
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
