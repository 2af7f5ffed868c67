package facts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hermes-reconcile/engine/facts/read"
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

// shownPrefix begins the names of this program's own variables.
const shownPrefix = "HERMES_RECONCILE_"

// switches are the variables that are on or off.
var switches = []string{"HERMES_GATEWAY_NO_SUPERVISE", "GATEWAY_MULTIPLEX_PROFILES", "HERMES_DASHBOARD", "API_SERVER_ENABLED"}

// How much of the environment is read.
const (
	maxEnvFiles = 4096
	maxEnvValue = 1024
	maxSecrets  = 256
)

type environmentFact struct {
	read.Outcome
	Source       string            `json:"source" about:"where the variables are from: the environment of the process comes first, then the directory that s6-overlay writes" words:"process,directory,process+directory,none"`
	Vars         map[string]string `json:"vars" about:"allow-listed variables and those that begin with HERMES_RECONCILE_, by name; without user and password in a URL" of:"value, cut to 1024 bytes"`
	Flags        map[string]bool   `json:"flags" about:"variables that are on or off, by name; absent when unset, blank or not a known word" of:"1, true, yes, on and 0, false, no, off in any case; HERMES_GATEWAY_NO_SUPERVISE is on only for 1, true, yes"`
	InvalidFlags []string          `json:"invalid_flags" about:"variables that should be on or off and have another value, so they count as unset" of:"name"`
	Warnings     []string          `json:"warnings" about:"variables that should be on or off and are written in another way: in quotes, which does not hide what is meant, or with another word" of:"the variable, and what is wrong"`
	Secrets      []environSecret   `json:"secrets" about:"variables that hold a credential" of:"one variable"`
}

type environSecret struct {
	Name        string `json:"name" about:"its name ends in _TOKEN, _KEY, _SECRET, _APP_ID or _ACCOUNT_ID, or begins with HERMES_RECONCILE_ and looks secret"`
	Fingerprint string `json:"fingerprint" about:"first 16 hexadecimal digits of the SHA-256 of the value"`
}

// environment is the environment that the container was given.
func environment(c Config) Source {
	return containerFact("environment", byOperator, "the environment of the container", func() environmentFact {
		return describeEnvironment(c.variables())
	})
}

// variables are the environment variables of the container.
type variables struct {
	values  map[string]string
	source  string
	problem string // why some may be missing
}

// variables returns the environment of the process, and the variables that only the directory
// of s6-overlay has, as a file each. A process that s6 started without with-contenv has only
// those of the directory.
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
		if out := read.OutcomeOf(err); out.Status != policy.StatusMissing {
			v.problem = "the variables that s6-overlay keeps cannot be read, so some may be missing: " + out.Error
		}
		return v
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(maxEnvFiles)
	for _, name := range names {
		if _, set := v.values[name]; set || !read.IsVariable(name) {
			continue
		}
		data, out := read.Path(filepath.Join(c.EnvDir, name), read.MaxState)
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
		Outcome: read.Recorded, Source: v.source,
		Vars: map[string]string{}, Flags: map[string]bool{}, InvalidFlags: []string{}, Warnings: []string{}, Secrets: []environSecret{},
	}
	switch {
	case v.problem != "":
		f.Outcome = read.Outcome{Status: policy.StatusUnreadable, Error: v.problem}
	case len(v.values) == 0:
		f.Status = policy.StatusEmpty
	}
	for name, value := range v.values {
		ours := strings.HasPrefix(name, shownPrefix)
		switch {
		case policy.SecretEnding(name) != "" || (ours && policy.NamesSecret(name)):
			if value != "" && read.IsVariable(name) {
				f.Secrets = append(f.Secrets, environSecret{name, fingerprint(value)})
			}
		case (ours && read.IsVariable(name)) || slices.Contains(shownVariables, name):
			f.Vars[name] = read.Bounded(withoutUserinfo(value), maxEnvValue)
		}
	}
	for _, name := range switches {
		on, problem := parseSwitchOf(name, v.values[name])
		if problem != "" {
			f.Warnings = append(f.Warnings, name+": "+problem)
		}
		if problem != "" && on == nil {
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

// parseSwitchOf parses a switch as upstream parses the variable of this name.
func parseSwitchOf(name, value string) (on *bool, problem string) {
	on, problem = read.ParseSwitch(value)
	if name != "HERMES_GATEWAY_NO_SUPERVISE" || on == nil {
		return on, problem
	}
	return new(*on && !strings.EqualFold(strings.Trim(value, ` \t"'`), "on")), problem
}
