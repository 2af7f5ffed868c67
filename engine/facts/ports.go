package facts

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"hermes-reconcile/policy"
)

// The ports that upstream uses where none is configured.
const (
	defaultAPIPort     = 8642
	defaultWebhookPort = 8644
)

type portsFact struct {
	outcome
	Ports            []port `json:"ports"`
	Derived          int    `json:"derived"`
	APIServerEnabled bool   `json:"api_server_enabled"`
	APIServerKey     bool   `json:"api_server_key"`
	ConfigStatus     string `json:"config_status"`
}

type port struct {
	Platform string `json:"platform"`
	Port     int    `json:"port"`
	Source   string `json:"source"`
	Enabled  bool   `json:"enabled"`
}

// ports are those that a profile's gateway would listen on.
func ports() ProfileSource {
	return ProfileSource{"ports", portsSchema, func(_ context.Context, dir policy.Directory) (any, error) {
		return describePorts(entryOf(dir.Profile()), readDotenv(dir), readConfig(dir)), nil
	}}
}

func portsSchema() string {
	return fact(byAgent, "ports of the profile, from its .env and config.yaml; the container's environment may say otherwise", properties{
		"ports": list("listeners that the files mention or that are on", object("one listener", properties{
			"platform": word("what listens", "api_server", "webhook"),
			"port":     integer("port; where none is configured upstream's default, which two profiles then share"),
			"source":   word("what names the port", ".env", "config.yaml", "default"),
			"enabled":  boolean("it would listen"),
		})),
		"derived":            integer("port that belongs to the name alone, as upstream once meant it: the first 8 hexadecimal digits of its SHA-256 modulo 600, plus 9200").from(byImage),
		"api_server_enabled": boolean("the API server would listen: API_SERVER_ENABLED in .env, platforms.api_server.enabled in config.yaml, or a usable API_SERVER_KEY, which switches it on even against API_SERVER_ENABLED=false"),
		"api_server_key":     boolean("the profile has an API_SERVER_KEY or platforms.api_server key that is not blank"),
		"config_status":      status("how reading config.yaml went"),
	})
}

func describePorts(name string, env dotenv, config configFile) portsFact {
	f := portsFact{outcome: env.outcome, Ports: []port{}, Derived: derivedPort(name), ConfigStatus: config.Status}
	api := listener{"api_server", "API_SERVER", defaultAPIPort}
	f.APIServerKey = api.hasKey(env, config)
	f.APIServerEnabled = f.APIServerKey || api.enabled(env, config)
	f.add(api, env, config, f.APIServerEnabled)

	webhook := listener{"webhook", "WEBHOOK", defaultWebhookPort}
	f.add(webhook, env, config, webhook.enabled(env, config))
	return f
}

// add lists a listener that is on, or whose port is configured.
func (f *portsFact) add(l listener, env dotenv, config configFile, enabled bool) {
	number, source := l.port(env, config)
	if enabled || source != "default" || l.section(config) {
		f.Ports = append(f.Ports, port{l.platform, number, source, enabled})
	}
}

// A listener is one of the platforms that open a port.
type listener struct {
	platform, prefix string // in config.yaml, and of the variables in .env
	usual            int
}

// section reports whether config.yaml mentions the platform at all.
func (l listener) section(config configFile) bool {
	return config.at("platforms", l.platform) != nil || config.at("gateway", "platforms", l.platform) != nil
}

func (l listener) port(env dotenv, config configFile) (int, string) {
	if s, ok := env.get(l.prefix + "_PORT"); ok {
		if n, err := strconv.Atoi(s); err == nil && isPort(n) {
			return n, ".env"
		}
	}
	for _, keys := range [][]string{
		{"platforms", l.platform, "extra", "port"}, {"platforms", l.platform, "port"},
		{"gateway", "platforms", l.platform, "extra", "port"}, {"gateway", "platforms", l.platform, "port"},
	} {
		if n, ok := intOf(config.at(keys...)); ok && isPort(n) {
			return n, "config.yaml"
		}
	}
	return l.usual, "default"
}

func (l listener) enabled(env dotenv, config configFile) bool {
	if on, _ := parseSwitch(env.values[l.prefix+"_ENABLED"]); on != nil {
		return *on
	}
	for _, keys := range [][]string{{"platforms", l.platform, "enabled"}, {"gateway", "platforms", l.platform, "enabled"}} {
		if on, ok := boolOf(config.at(keys...)); ok {
			return on
		}
	}
	return false
}

func (l listener) hasKey(env dotenv, config configFile) bool {
	if _, ok := env.get(l.prefix + "_KEY"); ok {
		return true
	}
	for _, keys := range [][]string{{"platforms", l.platform, "extra", "key"}, {"platforms", l.platform, "key"}, {"gateway", "platforms", l.platform, "key"}} {
		if s, ok := scalar(config.at(keys...)); ok && s != "" {
			return true
		}
	}
	return false
}

func isPort(n int) bool { return n > 0 && n < 65536 }

// derivedPort is the port that a name alone gives.
func derivedPort(name string) int {
	sum := sha256.Sum256([]byte(name))
	return int(binary.BigEndian.Uint32(sum[:4])%600) + 9200
}
