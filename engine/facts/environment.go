package facts

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hermes-reconcile/policy"
)

// shownVariables are the variables whose values are facts.
var shownVariables = []string{
	"HERMES_HOME", "S6_PROFILE_GATEWAY_SCANDIR", "HERMES_GATEWAY_NO_SUPERVISE",
	"HERMES_GATEWAY_BOOTSTRAP_STATE", "GATEWAY_MULTIPLEX_PROFILES", "HERMES_DASHBOARD",
	"HERMES_UID", "HERMES_GID", "PUID", "PGID",
	"API_SERVER_ENABLED", "API_SERVER_HOST", "API_SERVER_PORT",
	"HERMES_GATEWAY_LOCK_DIR", "XDG_STATE_HOME",
}

// shownPrefix begins the names of our own variables.
const shownPrefix = "HERMES_RECONCILE_"

// switches are the variables that are on or off.
var switches = []string{"HERMES_GATEWAY_NO_SUPERVISE", "GATEWAY_MULTIPLEX_PROFILES", "HERMES_DASHBOARD", "API_SERVER_ENABLED"}

// How much of the environment is looked at.
const (
	maxEnvFiles = 4096
	maxEnvValue = 1024
	maxSecrets  = 256
)

type environmentFact struct {
	outcome
	Source       string            `json:"source"`
	Vars         map[string]string `json:"vars"`
	Flags        map[string]bool   `json:"flags"`
	InvalidFlags []string          `json:"invalid_flags"`
	Secrets      []environSecret   `json:"secrets"`
}

type environSecret struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
}

func environment(c Config) Source {
	return Source{"environment", environmentSchema, func(context.Context) (any, error) {
		return describeEnvironment(c.variables()), nil
	}}
}

func environmentSchema() string {
	return fact(byOperator, "the environment that the container was given", properties{
		"source":        word("where it was found: the process's own environment comes first, then the directory that s6-overlay writes", "process", "directory", "process+directory", "none"),
		"vars":          byName("allow-listed variables and those that begin with HERMES_RECONCILE_, by name; user and password in a URL are taken out", text("value, cut at 1024 bytes")),
		"flags":         byName("variables that are on or off, by name; absent when unset, blank or not a known word", boolean("1, true, yes, on and 0, false, no, off in any case; for HERMES_GATEWAY_NO_SUPERVISE only 1, true, yes are on")),
		"invalid_flags": list("variables that should be on or off and hold another word; they count as unset", text("name")),
		"secrets": list("variables that hold a credential", object("one of them", properties{
			"name":        text("name, which ends in _TOKEN, _KEY, _SECRET, _APP_ID or _ACCOUNT_ID, or is one of ours that looks secret"),
			"fingerprint": text("first 16 hexadecimal digits of the SHA-256 of the value"),
		})),
	})
}

// variables are the environment of the container, whichever way it is given.
type variables struct {
	values map[string]string
	source string
}

// variables reads the process's environment and adds what only the directory of
// s6-overlay has, a file for each variable. A process that s6 started without
// with-contenv sees nothing else.
func (c Config) variables() variables {
	v := variables{values: map[string]string{}, source: "none"}
	for _, pair := range c.Environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			v.values[name] = value
			v.source = "process"
		}
	}
	dir, err := os.Open(c.EnvDir)
	if err != nil {
		return v
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(maxEnvFiles)
	for _, name := range names {
		if _, set := v.values[name]; set || !isVariable(name) {
			continue
		}
		data, out := readPath(filepath.Join(c.EnvDir, name), maxState)
		if out.Status != "" {
			continue
		}
		v.values[name] = strings.TrimSuffix(string(data), "\n")
		if v.source == "none" {
			v.source = "directory"
		} else if v.source == "process" {
			v.source = "process+directory"
		}
	}
	return v
}

func describeEnvironment(v variables) environmentFact {
	f := environmentFact{
		outcome: recorded, Source: v.source,
		Vars: map[string]string{}, Flags: map[string]bool{}, InvalidFlags: []string{}, Secrets: []environSecret{},
	}
	if len(v.values) == 0 {
		f.Status = policy.StatusEmpty
	}
	for name, value := range v.values {
		ours := strings.HasPrefix(name, shownPrefix)
		switch {
		case isSecretName(name) || (ours && looksSecret(name)):
			if value != "" && isVariable(name) {
				f.Secrets = append(f.Secrets, environSecret{name, fingerprint(value)})
			}
		case (ours && isVariable(name)) || slices.Contains(shownVariables, name):
			f.Vars[name] = bounded(withoutUserinfo(value), maxEnvValue)
		}
	}
	for _, name := range switches {
		on, problem := parseSwitchOf(name, v.values[name])
		if problem != "" {
			f.InvalidFlags = append(f.InvalidFlags, name)
		}
		if on != nil {
			f.Flags[name] = *on
		}
	}
	slices.SortFunc(f.Secrets, func(a, b environSecret) int { return strings.Compare(a.Name, b.Name) })
	f.Secrets = f.Secrets[:min(len(f.Secrets), maxSecrets)]
	return f
}

// parseSwitchOf reads a switch as upstream reads the variable of this name.
func parseSwitchOf(name, value string) (on *bool, problem string) {
	on, problem = parseSwitch(value)
	if name != "HERMES_GATEWAY_NO_SUPERVISE" || on == nil {
		return on, problem
	}
	narrow := *on && !strings.EqualFold(strings.TrimSpace(value), "on")
	return &narrow, ""
}

// parseSwitch reads 1, true, yes, on and 0, false, no, off. Nil is unset: blank,
// or another word, which is the problem.
func parseSwitch(s string) (on *bool, problem string) {
	yes, no := true, false
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "":
		return nil, ""
	case "1", "true", "yes", "on":
		return &yes, ""
	case "0", "false", "no", "off":
		return &no, ""
	}
	return nil, "want 1, true, yes, on or 0, false, no, off"
}
