package facts

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

const maxTokens = 64

type tokensFact struct {
	read.Outcome
	Tokens       []token `json:"tokens" about:"at most 64 credentials, in the order of the files" of:"one credential"`
	EnvLink      bool    `json:"env_link" about:".env is a link, which is not followed"`
	ConfigStatus string  `json:"config_status" about:"how reading config.yaml went" words:"status"`
}

type token struct {
	Scope       string `json:"scope" about:"the platform that it is for; else what its name says: openai_api for OPENAI_API_KEY"`
	Fingerprint string `json:"fingerprint" about:"first 16 hexadecimal digits of the SHA-256 of the value"`
	Source      string `json:"source" about:"where it stands; the environment of the container counts for every profile" words:"managed,.env,config.yaml,environment"`
	Name        string `json:"name" about:"name of the variable, or path of the key"`
	Exclusive   bool   `json:"exclusive" about:"it names a bot or an account that only one gateway can use"`
}

func tokens(s setup) tokensFact {
	f := tokensFact{Outcome: s.env.Outcome, EnvLink: s.env.Link, ConfigStatus: s.config.Status, Tokens: []token{}}
	f.addVariables(s)
	f.addConfig(s)
	return f
}

func (f *tokensFact) add(t token, value string) {
	if value == "" || len(f.Tokens) == maxTokens {
		return
	}
	t.Scope, t.Name, t.Fingerprint = read.Bounded(t.Scope, 128), read.Bounded(t.Name, 256), fact.Fingerprint(value)
	f.Tokens = append(f.Tokens, t)
}

// addVariables adds the variables that are credentials, or that name an account.
func (f *tokensFact) addVariables(s setup) {
	names := slices.Concat(s.inherited.env.Names, s.env.Names, slices.Sorted(maps.Keys(s.inherited.environ)))
	seen := map[string]bool{}
	for _, name := range names {
		scope := platformOf(name)
		claimed := scope != "" && s.claim(platformNamed(scope)) == name
		if seen[name] || !claimed && policy.SecretEnding(name) == "" {
			continue
		}
		seen[name] = true
		value, source := s.variable(name)
		f.add(token{Scope: cmp.Or(scope, scopeOf(name)), Source: source, Name: name, Exclusive: claimed}, value)
	}
}

// claim returns the name of the variable by which a profile claims a platform, or "".
func (s setup) claim(p platform) string {
	for _, name := range p.claims {
		if s.isSet(name) {
			return name
		}
	}
	return ""
}

// addConfig adds the credentials of the platforms in config.yaml, and of their "extra". A
// variable that claims a platform hides the key "token".
func (f *tokensFact) addConfig(s setup) {
	for _, name := range s.configured() {
		p := platformNamed(name)
		for _, key := range s.platformKeys(name) {
			if policy.SecretEnding("X_"+strings.ToUpper(key)) == "" || key == "token" && s.claim(p) != "" {
				continue
			}
			value, path, source := s.platformKey(name, key)
			f.add(token{Scope: strings.ToLower(name), Source: source, Name: strings.Join(path, "."), Exclusive: key == "token" && len(p.claims) > 0}, value)
		}
	}
}

// scopeOf returns what a credential is for: "telegram" for TELEGRAM_BOT_TOKEN.
func scopeOf(name string) string {
	scope := strings.ToLower(strings.TrimSuffix(name, policy.SecretEnding(name)))
	if short := strings.TrimSuffix(scope, "_bot"); short != "" {
		scope = short
	}
	return scope
}
