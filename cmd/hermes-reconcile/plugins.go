package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/facts"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/process"
	"hermes-reconcile/s6"
)

// What is plugged in. Nothing registers itself: a source, an executor or a layer that is
// not named here does not exist.

// containerSources are the sources that touch nothing on the volume. Package remote has
// the others.
func containerSources(c config.Config) []engine.Source {
	var sources []engine.Source
	for _, source := range facts.Builtin(facts.Config{Home: c.Home, StateDir: c.StateDir}).Container {
		sources = append(sources, source)
	}
	return append(sources, &s6.Source{ScanDir: c.ScanDir})
}

// inputSchema composes the schema of the input document. It needs no home.
func inputSchema() ([]byte, error) {
	ofVolume, ofProfile := remote.Sources(remote.Settings{}, nil)
	return engine.InputSchema(append(containerSources(config.Config{}), ofVolume...), ofProfile)
}

// layers are the rules in order: the built-in ones, then the operator's directories.
func layers(c config.Config) []rego.Layer { return rego.Layers(c.Policy) }

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
		KeepOverrides: func(overrides []policy.Override) error { return facts.KeepOverrides(c.StateDir, overrides) },
		Log:           problems,
	}
	volume, err := open()
	if err != nil {
		w.Volume = reconcile.Unreachable{Err: err}
		return w, rules.Close, nil
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
		Home: c.Home, Phase: phase, FactsDir: c.Facts.Dir, Timeout: c.Facts.Timeout, SourceTimeout: c.Facts.SourceTimeout,
		ExternalTimeout: c.Facts.ExternalTimeout, OperatorFiles: c.Facts.OperatorFiles,
		OnlyRoot: os.Geteuid() == 0,
	}
	if !s.OnlyRoot {
		return s, nil
	}
	u, err := lookupUser(c.User)
	s.User = &remote.User{UID: u.UID, GID: u.GID}
	return s, err
}

// newExecutor makes the executor of the scan directory.
func newExecutor(c config.Config, log *slog.Logger) (*s6.Executor, error) {
	u, err := lookupUser(c.User)
	if err != nil {
		return nil, err
	}
	e := &s6.Executor{
		ScanDir:   c.ScanDir,
		Home:      c.Home,
		User:      u,
		Root:      os.Geteuid() == 0,
		Ownership: s6.Ownership(c.S6.Ownership),
		Command:   c.Gateway.Command,
		Args:      c.Gateway.Args,
		Shell:     c.S6.Shell,
		Tools:     c.S6.Tools,
		Died:      diedCommand(c),
		Log:       log,
	}
	if c.S6.Capacity >= 0 {
		e.Capacity = &c.S6.Capacity
	}
	return e, nil
}

// lookupUser finds the unprivileged user by name or as UID:GID.
func lookupUser(name string) (s6.User, error) {
	if uid, gid, ok := strings.Cut(name, ":"); ok {
		u, uidErr := strconv.ParseUint(uid, 10, 31)
		g, gidErr := strconv.ParseUint(gid, 10, 31)
		if err := cmp.Or(uidErr, gidErr); err != nil {
			return s6.User{}, fmt.Errorf("configuration: user is %q, want a name or UID:GID", name)
		}
		return s6.User{UID: int(u), GID: int(g)}, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return s6.User{}, fmt.Errorf("configuration: user: there is no user %q here; name another one, or give UID:GID", name)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	return s6.User{Name: name, UID: uid, GID: gid}, cmp.Or(uidErr, gidErr)
}

// installedProgram is where the documentation installs this program.
const installedProgram = "/usr/local/bin/hermes-reconcile"

// diedCommand is how a finish script calls this program back. The installed program comes
// before the one that was called, which may be gone later.
func diedCommand(c config.Config) []string {
	program := c.S6.Program
	if program == "" {
		program = installedProgram
		if _, err := os.Stat(program); err != nil {
			program = calledProgram()
		}
	}
	if program == "" {
		return nil
	}
	return []string{program, diedName, "--home", c.Home, "--user", c.User, "--"}
}

// calledProgram is the path of this program under the name that it was called by.
func calledProgram() string {
	name := os.Args[0]
	if !strings.Contains(name, "/") {
		found, err := exec.LookPath(name)
		if err != nil {
			found, _ = os.Executable()
		}
		name = found
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return ""
	}
	return path
}

// pass runs a pass that only looks, within the deadline, on the world of a configuration.
func pass(ctx context.Context, c config.Config, log *slog.Logger, o reconcile.Options) (reconcile.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Boot.Deadline)
	defer cancel()
	w, closeWorld, err := newWorld(c, o.Phase, log, noLog)
	if err != nil {
		return reconcile.Report{}, err
	}
	defer closeWorld()
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
