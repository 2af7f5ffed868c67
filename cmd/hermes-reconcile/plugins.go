package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/inspect"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/facts/container"
	"hermes-reconcile/engine/facts/plugins"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/process"
	"hermes-reconcile/s6"
	"hermes-reconcile/s6/scripts"
)

// What is plugged in. Nothing registers itself: a source, an executor or a layer that is
// not named here does not exist.

// containerSources are the sources that touch nothing on the volume. Package remote has
// the others.
func containerSources(c config.Config) []engine.Source {
	var sources []engine.Source
	for _, source := range container.Sources(container.Config{StateDir: c.StateDir, RunDir: c.RunDir}) {
		sources = append(sources, source)
	}
	return append(sources, &s6.Source{ScanDir: c.ScanDir})
}

// allSources describe every fact of the input document. They collect none.
func allSources() (ofContainer []engine.Source, ofProfile []engine.ProfileSource) {
	ofVolume, profile := remote.Sources(remote.Settings{}, nil)
	external, externalOfProfile := plugins.Sources()
	return append(append(containerSources(config.Config{}), ofVolume...), external), append(profile, externalOfProfile)
}

// inputSchema composes the schema of the input document. It needs no home.
func inputSchema() ([]byte, error) { return engine.InputSchema(allSources()) }

// layers are the rules in order: the built-in ones, then the operator's directories, which
// the agents must not be able to write.
func layers(c config.Config) []rego.Layer { return rego.Layers(c.Policy, c.Distrusted) }

// noLog is for commands that print their problems.
var noLog = slog.New(slog.DiscardHandler)

// newWorld makes what a pass acts on. The caller closes it. A volume that cannot be
// reached is an error of everything that needs it.
func newWorld(c config.Config, phase string, log, problems *slog.Logger) (reconcile.World, func(), error) {
	return worldOn(c, newRules(c), log, problems, func() (*remote.Child, error) { return openVolume(c, phase) })
}

// worldOn is newWorld with rules, and on a volume that open opens.
func worldOn(c config.Config, rules *process.Rules, log, problems *slog.Logger, open func() (*remote.Child, error)) (reconcile.World, func(), error) {
	slots, err := newExecutor(c, log)
	if err != nil {
		return reconcile.World{}, nil, err
	}
	w := reconcile.World{
		Slots: slots, Rules: rules, ScanDir: c.ScanDir,
		Sources: containerSources(c), SourceTimeout: c.Facts.SourceTimeout, OnRuleError: engine.OnRuleError(c.OnRuleError),
		KeepOverrides: func(overrides []policy.Override) error { return container.KeepOverrides(c.StateDir, overrides) },
		Alarms:        inspect.Alarms(inspect.Installation(c, false)),
		External:      func(ctx context.Context, in *policy.Input) { plugins.AddFacts(ctx, pluginsConfig(c), in) },
		Log:           problems,
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

// openVolume starts the child that works on the volume.
func openVolume(c config.Config, phase string) (*remote.Child, error) {
	s, err := volumeSettings(c, phase)
	if err != nil {
		return nil, err
	}
	return remote.Start(s)
}

// volumeSettings are those of the child. It runs under the unprivileged user when this
// process is root.
func volumeSettings(c config.Config, phase string) (remote.Settings, error) {
	s := remote.Settings{
		Home: c.Home, Phase: phase, Timeout: c.Facts.Timeout, SourceTimeout: c.Facts.SourceTimeout, OperatorFiles: c.Facts.OperatorFiles,
		ConfigKeys: c.Facts.ConfigKeys,
	}
	if os.Geteuid() != 0 {
		return s, nil
	}
	u, err := lookupUser(c.User)
	s.User = &remote.User{UID: u.UID, GID: u.GID}
	return s, err
}

// pluginsConfig says how the operator's plug-ins run.
func pluginsConfig(c config.Config) plugins.Config {
	p := plugins.Config{Dir: c.Facts.Dir, Home: c.Home, Timeout: c.Facts.ExternalTimeout, Now: time.Now}
	if os.Geteuid() != 0 {
		return p
	}
	agents, agentsErr := lookupUser(c.User)
	p.Users = &plugins.Users{Agents: plugins.User{UID: agents.UID, GID: agents.GID}}
	u, err := plugins.UserOf(c.Facts.User, p.Users.Agents)
	p.Users.Plugins, p.Users.Err = u, cmp.Or(agentsErr, err)
	return p
}

// newExecutor makes the executor of the scan directory.
func newExecutor(c config.Config, log *slog.Logger) (*s6.Executor, error) {
	u, err := lookupUser(c.User)
	if err := cmp.Or(err, trustPrograms(&c)); err != nil {
		return nil, err
	}
	e := &s6.Executor{
		ScanDir:   c.ScanDir,
		User:      u,
		Root:      os.Geteuid() == 0,
		Ownership: s6.Ownership(c.S6.Ownership),
		Settings: scripts.Settings{
			Home: c.Home, Command: c.Gateway.Command, Args: c.Gateway.Args, Shell: c.S6.Shell, Tools: c.S6.Tools,
			Died: diedCommand(c), Watch: watchCommand(c),
		},
		Log: log,
	}
	if c.S6.Capacity >= 0 {
		e.Capacity = &c.S6.Capacity
	}
	return e, nil
}

// lookupUser finds the unprivileged user by name or as UID:GID.
func lookupUser(name string) (s6.User, error) {
	uid, gid, err := trust.LookupUser(name)
	if err != nil {
		return s6.User{}, fmt.Errorf("configuration: %w", err)
	}
	u := s6.User{UID: uid, GID: gid}
	if !strings.Contains(name, ":") {
		u.Name = name
	}
	return u, nil
}

// asUpstream replaces a user that does not exist by upstream's, for a command that only
// looks.
func asUpstream(c *config.Config, log *slog.Logger) {
	if _, err := lookupUser(c.User); err != nil {
		log.Warn("looking as "+trust.UpstreamUser, "err", err)
		c.User = trust.UpstreamUser
	}
}

// pass runs a pass that only looks, within the deadline, on the world of a configuration.
// Rules are nil for those of the configuration.
func pass(ctx context.Context, c config.Config, rules reconcile.Rules, log *slog.Logger, o reconcile.Options) (reconcile.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Boot.Deadline)
	defer cancel()
	asUpstream(&c, log)
	w, closeWorld, err := newWorld(c, o.Phase, log, noLog)
	if err != nil {
		return reconcile.Report{}, err
	}
	defer closeWorld()
	if rules != nil {
		w.Rules = rules
	}
	r, err := reconcile.Pass(ctx, w, o)
	return r, passError(err)
}

// passError gives the error of a pass its exit status.
func passError(err error) error {
	switch {
	case err == nil:
		return nil
	case isA[*reconcile.RulesError](err):
		return &exitError{exitPolicy, err}
	case isA[*engine.UnknownProfile](err):
		return &exitError{exitUsage, err}
	}
	return &exitError{exitProfile, err}
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
