package facts

import (
	"slices"
	"strings"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// maxTokens bounds how many tokens of a profile are listed.
const maxTokens = 64

type tokensFact struct {
	read.Outcome
	Tokens       []token `json:"tokens" about:"at most 64 credentials, in the order of the files" of:"one credential"`
	EnvLink      bool    `json:"env_link" about:".env is a link, which is not followed"`
	ConfigStatus string  `json:"config_status" about:"how reading config.yaml went" words:"status"`
}

type token struct {
	Scope       string `json:"scope" about:"what it is for, from its name: telegram for TELEGRAM_BOT_TOKEN; the platform for a key of config.yaml"`
	Fingerprint string `json:"fingerprint" about:"first 16 hexadecimal digits of the SHA-256 of the value as written: variables in it are not expanded"`
	Source      string `json:"source" about:"the file" words:".env,config.yaml"`
	Name        string `json:"name" about:"name of the variable, or path of the key"`
}

// tokens are the credentials in a profile's files.
func tokens() ProfileSource {
	return profileFact("tokens", byAgent, "credentials of the profile, from its .env and config.yaml; the status is that of .env", func(dir policy.Directory) tokensFact {
		return describeTokens(read.ReadDotenv(dir), read.ReadConfig(dir))
	})
}

func describeTokens(env read.Dotenv, config read.Config) tokensFact {
	f := tokensFact{Outcome: env.Outcome, EnvLink: env.Link, ConfigStatus: config.Status, Tokens: []token{}}
	f.addDotenv(env)
	f.addConfig(config)
	return f
}

func (f *tokensFact) add(t token, value string) {
	if value == "" || len(f.Tokens) == maxTokens {
		return
	}
	t.Scope, t.Name, t.Fingerprint = read.Bounded(t.Scope, 128), read.Bounded(t.Name, 256), fingerprint(value)
	f.Tokens = append(f.Tokens, t)
}

func (f *tokensFact) addDotenv(env read.Dotenv) {
	for _, name := range env.Names {
		if isSecretName(name) {
			value, _ := env.Get(name)
			f.add(token{Scope: scopeOf(name), Source: ".env", Name: name}, value)
		}
	}
}

// addConfig adds the credentials of platforms.<name> and of its "extra".
func (f *tokensFact) addConfig(config read.Config) {
	for _, prefix := range [][]string{{"platforms"}, {"gateway", "platforms"}} {
		for _, platform := range config.At(prefix...).Keys(maxPlatforms) {
			for _, below := range [][]string{{platform}, {platform, "extra"}} {
				path := slices.Concat(prefix, below)
				node := config.At(path...)
				for _, key := range node.Keys(maxTokens) {
					if isSecretName("X_" + strings.ToUpper(key)) {
						value, _ := node.At(key).Text()
						f.add(token{Scope: strings.ToLower(platform), Source: "config.yaml", Name: strings.Join(append(path, key), ".")}, strings.TrimSpace(value))
					}
				}
			}
		}
	}
}
