package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"strings"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/facts"
	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/rego"
	"hermes-reconcile/s6"
)

// What is plugged in. Nothing registers itself: a source, an executor or a layer
// that is not named here does not exist.

// containerSources are the sources that touch nothing on the volume; package side has
// the others.
func containerSources(c config) []engine.Source {
	var sources []engine.Source
	for _, source := range facts.Builtin(facts.Config{Home: c.Home, StateDir: c.StateDir}).Container {
		sources = append(sources, source)
	}
	return append(sources, &s6.Source{ScanDir: c.ScanDir})
}

// inputSchema composes the schema of the input document; it needs no home.
func inputSchema() ([]byte, error) {
	ofVolume, ofProfile := remote.Sources(remote.Settings{}, nil)
	return engine.InputSchema(append(containerSources(config{}), ofVolume...), ofProfile)
}

// layers are the rules in order: the built-in ones, then the operator's
// directories.
func layers(c config) []rego.Layer {
	all := []rego.Layer{rego.BuiltIn()}
	for _, dir := range c.Policy {
		all = append(all, rego.Layer{Name: dir, Files: os.DirFS(dir)})
	}
	return all
}

// policyOptions are what the rules need of the configuration.
func policyOptions(c config) (rego.Options, error) {
	o := rego.Options{Settings: c.Settings, Timeout: c.PolicyTimeout, Memory: int64(c.PolicyMemory)}
	if len(c.Policy) == 0 {
		return o, nil
	}
	schema, err := inputSchema()
	o.Schema = schema
	return o, err
}

// newExecutor makes the executor of the scan directory. The caller sets what
// depends on its command.
func newExecutor(c config, log *slog.Logger) (*s6.Executor, error) {
	e := &s6.Executor{
		ScanDir:   c.ScanDir,
		Home:      c.Home,
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
	u, err := lookupUser(c.User)
	e.User = u
	if !e.Root {
		// The user's own look at slots of root's has to find them right too.
		return e, nil
	}
	return e, err
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
