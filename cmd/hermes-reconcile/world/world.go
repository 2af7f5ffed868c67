// Package world makes what a pass acts on from a configuration: it has the lists of what is
// plugged in. Nothing registers itself: a source, an executor or a layer that is not named
// here does not exist.
package world

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/inspect"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/facts/container"
	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/facts/plugins"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/process"
	"hermes-reconcile/s6"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/scripts"
)

// ContainerSources are the sources that touch nothing on the volume. Package remote has
// the others.
func ContainerSources(c config.Config) []fact.Source {
	sources := container.Sources(container.Config{StateDir: c.StateDir, RunDir: c.RunDir})
	slots := func(ctx context.Context) (any, error) { return (&s6.Executor{ScanDir: c.ScanDir}).Slots(ctx), nil }
	return append(sources, fact.New("s6", scandir.Schema, slots))
}

// AllSources describe every fact of the input document. They collect none.
func AllSources() (ofContainer []fact.Source, ofProfile []fact.ProfileSource) {
	ofVolume, profile := remote.Sources(remote.Settings{}, nil)
	external, externalOfProfile := plugins.Sources()
	return append(append(ContainerSources(config.Config{}), ofVolume...), external, container.LabelsSource()), append(profile, externalOfProfile)
}

// Layers are the rules in order: the built-in ones, then the operator's directories and
// bundles, which the agents must not be able to write.
func Layers(c config.Config) []rego.Layer { return Sources(c).Layers() }

// NoLog is for commands that print their problems.
var NoLog = slog.New(slog.DiscardHandler)

// New makes what a pass acts on. The caller closes it. A volume that cannot be
// reached is an error of everything that needs it.
func New(c config.Config, phase string, log, problems *slog.Logger) (reconcile.World, func(), error) {
	return On(c, Rules(c), log, problems, func() (*remote.Child, error) { return Volume(c, phase) })
}

// On is New with rules, and on a volume that open opens.
func On(c config.Config, rules *process.Rules, log, problems *slog.Logger, open func() (*remote.Child, error)) (reconcile.World, func(), error) {
	slots, err := Executor(c, log)
	if err != nil {
		return reconcile.World{}, nil, err
	}
	w := reconcile.World{
		Slots: slots, Rules: rules, ScanDir: c.ScanDir,
		Sources: ContainerSources(c), SourceTimeout: c.Facts.SourceTimeout, OnRuleError: engine.OnRuleError(c.OnRuleError),
		KeepOverrides: func(more []policy.Override, dryRun bool) (json.RawMessage, error) {
			return container.KeepOverrides(c.StateDir, more, dryRun)
		},
		KeepPauses: func(change func(*policy.Pauses), dryRun bool) (json.RawMessage, error) {
			return container.KeepPauses(c.StateDir, change, dryRun)
		},
		Alarms: inspect.Alarms(inspect.Installation(c, false)),
		External: func(ctx context.Context, in *policy.Input) {
			container.AddLabels(in.Container, c.Labels)
			plugins.AddFacts(ctx, pluginsConfig(c), in)
		},
		Log: problems,
	}
	volume, err := open()
	if err != nil {
		volume = remote.Unreachable(err)
	}
	w.Volume = volume
	return w, func() {
		volume.Close()
		rules.Close()
	}, nil
}

// Volume starts the child that works on the volume.
func Volume(c config.Config, phase string) (*remote.Child, error) {
	s, err := VolumeSettings(c, phase)
	if err != nil {
		return nil, err
	}
	return remote.Start(s)
}

// VolumeSettings are those of the child. It runs under the unprivileged user when this
// process is root.
func VolumeSettings(c config.Config, phase string) (remote.Settings, error) {
	s := remote.Settings{
		Home: c.Home, Phase: phase, Timeout: c.Facts.Timeout, SourceTimeout: c.Facts.SourceTimeout, OperatorFiles: c.Facts.OperatorFiles,
		ConfigKeys: c.Facts.ConfigKeys,
	}
	if os.Geteuid() != 0 {
		return s, nil
	}
	u, err := lookupUser(c.User)
	s.User = &u
	return s, err
}

// pluginsConfig says how the operator's plug-ins run.
func pluginsConfig(c config.Config) plugins.Config {
	p := plugins.Config{Dir: c.Facts.Dir, Home: c.Home, Timeout: c.Facts.ExternalTimeout, Now: time.Now}
	if os.Geteuid() != 0 {
		return p
	}
	agents, agentsErr := lookupUser(c.User)
	p.Users = &plugins.Users{Agents: agents}
	u, err := plugins.UserOf(c.Facts.User, p.Users.Agents)
	p.Users.Plugins, p.Users.Err = u, cmp.Or(agentsErr, err)
	return p
}

// Executor makes the executor of the scan directory.
func Executor(c config.Config, log *slog.Logger) (*s6.Executor, error) {
	u, err := lookupUser(c.User)
	if err != nil {
		return nil, err
	}
	e := &s6.Executor{
		ScanDir:  c.ScanDir,
		User:     u,
		Root:     os.Geteuid() == 0,
		Upstream: c.S6.Ownership == "upstream",
		Settings: scripts.Settings{
			Home: c.Home, Command: c.Gateway.Command, Args: c.Gateway.Args, Stderr: c.S6.Stderr,
			Died: diedCommand(c), Watch: WatchCommand(c),
		},
		Log: log,
	}
	if c.S6.Capacity >= 0 {
		e.Capacity = &c.S6.Capacity
	}
	return e, nil
}

// lookupUser finds the unprivileged user by name or as UID:GID.
func lookupUser(name string) (trust.User, error) {
	u, err := trust.LookupUser(name)
	if err != nil {
		return u, fmt.Errorf("configuration: %w", err)
	}
	return u, nil
}

// Usable makes a configuration one that works, and returns what was wrong with it.
func Usable(c *config.Config, wrong error) []view.Finding {
	var found []view.Finding
	note := func(code, what string, err error) {
		if err != nil {
			found = append(found, view.Finding{Code: code, Mend: inspect.Mends[code], Reason: fmt.Sprintf("%s: %v", what, err)})
		}
	}
	note(inspect.CodeConfiguration, "the configuration is wrong; going on without that part", wrong)
	if _, err := lookupUser(c.User); err != nil {
		note(inspect.CodeNoUser, "going on as "+trust.UpstreamUser, err)
		c.User = trust.UpstreamUser
	}
	return found
}

// AsUpstream replaces a user that does not exist by upstream's, for a command that only
// looks.
func AsUpstream(c *config.Config, log *slog.Logger) {
	if _, err := lookupUser(c.User); err != nil {
		log.Warn("looking as "+trust.UpstreamUser, "err", err)
		c.User = trust.UpstreamUser
	}
}
