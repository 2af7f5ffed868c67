package container

import (
	"slices"
	"strings"

	"hermes-reconcile/engine/facts/fact"
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

// How much of the environment is shown.
const (
	maxValue   = 1024
	maxSecrets = 256
)

type environmentFact struct {
	read.Outcome
	Source   string          `json:"source" about:"where the variables are from: the environment of the process comes first, then the directory that s6-overlay writes" words:"process,directory,process+directory,none"`
	Vars     shownVars       `json:"vars" about:"allow-listed variables and those that begin with HERMES_RECONCILE_, by name; without user and password in a URL" of:"value, cut to 1024 bytes"`
	Flags    shownFlags      `json:"flags" about:"variables that are on or off, by name; absent when unset, blank or not a known word" of:"1, true, yes, on and 0, false, no, off in any case; HERMES_GATEWAY_NO_SUPERVISE is on only for 1, true, yes"`
	Warnings []string        `json:"warnings" about:"variables that should be on or off and are written in another way: in quotes, which does not hide what is meant, or with another word" of:"the variable, and what is wrong"`
	Secrets  []environSecret `json:"secrets" about:"variables that hold a credential" of:"one variable"`
}

type (
	shownVars  map[string]string
	shownFlags map[string]bool
)

// Names lists the variables that can be facts.
func (shownVars) Names() []string { return append(slices.Clone(shownVariables), shownPrefix+".*") }

// Names lists the variables that are switches.
func (shownFlags) Names() []string { return switches }

type environSecret struct {
	Name        string `json:"name" about:"its name ends in _TOKEN, _KEY, _SECRET, _APP_ID or _ACCOUNT_ID, or begins with HERMES_RECONCILE_ and looks secret"`
	Fingerprint string `json:"fingerprint" about:"first 16 hexadecimal digits of the SHA-256 of the value"`
}

func (c Config) environment() environmentFact {
	return describeEnvironment(read.ReadEnvironment(c.EnvDir, c.Environ))
}

func describeEnvironment(e read.Environment) environmentFact {
	f := environmentFact{
		Outcome: read.Recorded, Source: e.Source,
		Vars: shownVars{}, Flags: shownFlags{}, Warnings: []string{}, Secrets: []environSecret{},
	}
	switch {
	case e.Problem != "":
		f.Outcome = read.Outcome{Status: policy.StatusUnreadable, Error: e.Problem}
	case len(e.Values) == 0:
		f.Status = policy.StatusEmpty
	}
	for name, value := range e.Values {
		ours := strings.HasPrefix(name, shownPrefix)
		switch {
		case policy.SecretEnding(name) != "" || (ours && policy.NamesSecret(name)):
			if value != "" && read.IsVariable(name) {
				f.Secrets = append(f.Secrets, environSecret{name, fact.Fingerprint(value)})
			}
		case (ours && read.IsVariable(name)) || slices.Contains(shownVariables, name):
			f.Vars[name] = read.Bounded(fact.WithoutUserinfo(value), maxValue)
		}
	}
	for _, name := range switches {
		on, problem := parseSwitchOf(name, e.Values[name])
		if problem != "" {
			f.Warnings = append(f.Warnings, name+": "+problem)
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
