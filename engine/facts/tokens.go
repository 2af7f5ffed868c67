package facts

import (
	"context"
	"strings"

	"hermes-reconcile/policy"
)

// maxTokens bounds how many tokens of a profile are listed.
const maxTokens = 64

type tokensFact struct {
	outcome
	Tokens       []token `json:"tokens"`
	EnvLink      bool    `json:"env_link"`
	ConfigStatus string  `json:"config_status"`
}

type token struct {
	Scope       string `json:"scope"`
	Fingerprint string `json:"fingerprint"`
	Source      string `json:"source"`
	Name        string `json:"name"`
}

// tokens are the credentials that a profile has of its own.
func tokens() ProfileSource {
	return ProfileSource{"tokens", tokensSchema, func(_ context.Context, dir policy.Directory) (any, error) {
		env, config := readDotenv(dir), readConfig(dir)
		f := tokensFact{outcome: env.outcome, EnvLink: env.link, ConfigStatus: config.Status, Tokens: []token{}}
		f.addDotenv(env)
		f.addConfig(config)
		return f, nil
	}}
}

func tokensSchema() string {
	return fact(byAgent, "credentials of the profile, from its .env and config.yaml; the status is that of .env", properties{
		"tokens": list("at most 64 of them, in the order of the files", object("one credential", properties{
			"scope":       text("what it is for, from its name: telegram for TELEGRAM_BOT_TOKEN; the platform for one of config.yaml"),
			"fingerprint": text("first 16 hexadecimal digits of the SHA-256 of the value, as written: variables in it are not expanded"),
			"source":      word("the file", ".env", "config.yaml"),
			"name":        text("name of the variable, or path of the key"),
		})),
		"env_link":      boolean(".env is a link, which is not followed"),
		"config_status": status("how reading config.yaml went"),
	})
}

func (f *tokensFact) add(t token, value string) {
	if value == "" || len(f.Tokens) == maxTokens {
		return
	}
	t.Scope, t.Name, t.Fingerprint = bounded(t.Scope, 128), bounded(t.Name, 256), fingerprint(value)
	f.Tokens = append(f.Tokens, t)
}

func (f *tokensFact) addDotenv(env dotenv) {
	for _, name := range env.names {
		if isSecretName(name) {
			value, _ := env.get(name)
			f.add(token{Scope: scopeOf(name), Source: ".env", Name: name}, value)
		}
	}
}

// addConfig adds the credentials of platforms.<name> and of what is below its
// "extra".
func (f *tokensFact) addConfig(config configFile) {
	for _, prefix := range [][]string{{"platforms"}, {"gateway", "platforms"}} {
		all := config.at(prefix...)
		for _, platform := range keysOf(all, maxPlatforms) {
			for _, below := range [][]string{{platform}, {platform, "extra"}} {
				path := append(append([]string{}, prefix...), below...)
				f.addKeys(config, platform, path)
			}
		}
	}
}

func (f *tokensFact) addKeys(config configFile, platform string, path []string) {
	node := config.at(path...)
	for _, key := range keysOf(node, maxTokens) {
		upper := strings.ToUpper(key)
		if !isSecretName("X_" + upper) {
			continue
		}
		value, _ := scalar(child(node, key, 0))
		f.add(token{Scope: strings.ToLower(platform), Source: "config.yaml", Name: strings.Join(append(path, key), ".")}, strings.TrimSpace(value))
	}
}
