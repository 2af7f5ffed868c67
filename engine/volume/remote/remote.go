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
	"slices"
	"strings"
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

// logLimit is the size at which a log is rotated, as upstream does.
const logLimit = 256 << 10

// ledgerLimit is that of the ledger, whose lines are longer: some thousand of them
// are kept.
const ledgerLimit = 4 << 20

// Local is the volume's side in this process.
type Local struct {
	settings Settings
	home     *volume.Home
}

// Open opens the volume. The settings' User does not count.
func Open(s Settings) (*Local, error) {
	home, err := volume.Open(s.Home)
	if err != nil {
		return nil, err
	}
	return &Local{settings: s, home: home}, nil
}

func (v *Local) Collect(ctx context.Context, emit func(string, policy.Facts)) (policy.Facts, error) {
	ctx, cancel := context.WithTimeout(ctx, v.settings.Timeout)
	defer cancel()
	sources, profileSources := Sources(v.settings, v.home)
	collector := engine.Collector{Home: v.home, Sources: sources, ProfileSources: profileSources, SourceTimeout: v.settings.SourceTimeout}
	container := make(chan policy.Facts, 1)
	go func() { container <- collector.Container(ctx) }()
	err := collector.Profiles(ctx, emit)
	return <-container, err
}

func (v *Local) Plan(ctx context.Context, d policy.Decisions, o policy.PlanOptions) (policy.Plan, error) {
	return (&volume.Executor{}).Plan(ctx, d, o)
}

func (v *Local) Execute(ctx context.Context, operations []policy.Operation, o policy.ExecuteOptions) []policy.Result {
	return (&volume.Executor{Home: v.home, Live: v.settings.Phase == policy.PhaseApply}).Execute(ctx, operations, o)
}

func (v *Local) AppendLog(_ context.Context, name string, text []byte) error {
	limit := int64(logLimit)
	if strings.HasSuffix(name, ".jsonl") {
		limit = ledgerLimit
	}
	return v.home.AppendLog(name, text, limit)
}

func (v *Local) Ledger(_ context.Context, profile string) ([]ledger.Line, error) {
	return ledger.Read(v.home.Root(), profile)
}

func (v *Local) Runs(ctx context.Context, q ledger.Query) (ledger.Runs, error) {
	runs := ledger.ReadRuns(v.home.Root(), q)
	profiles, err := v.home.Profiles(ctx)
	for _, p := range profiles {
		runs.Names = append(runs.Names, p.Name)
	}
	slices.Sort(runs.Names)
	runs.Names = slices.Compact(runs.Names)
	return runs, err
}

func (v *Local) Close() { v.home.Close() }
