package facts

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// Upstream's default ports.
const (
	defaultAPIPort     = 8642
	defaultWebhookPort = 8644
)

type portsFact struct {
	read.Outcome
	Ports            []port `json:"ports" about:"listeners that the files mention, and those that are on" of:"one listener"`
	Derived          int    `json:"derived" about:"port that upstream once derived from the name: the first 8 hexadecimal digits of its SHA-256 modulo 600, plus 9200" by:"image"`
	APIServerEnabled bool   `json:"api_server_enabled" about:"the API server would listen: API_SERVER_ENABLED in .env, platforms.api_server.enabled in config.yaml, or a usable API_SERVER_KEY, which switches it on even with API_SERVER_ENABLED=false"`
	APIServerKey     bool   `json:"api_server_key" about:"the profile has an API_SERVER_KEY or platforms.api_server key that is not blank"`
	ConfigStatus     string `json:"config_status" about:"how reading config.yaml went" words:"status"`
}

type port struct {
	Platform string `json:"platform" about:"the listener" words:"api_server,webhook"`
	Port     int    `json:"port" about:"the port; upstream's default if none is configured, which two profiles then share"`
	Source   string `json:"source" about:"where the port is configured" words:".env,config.yaml,default"`
	Enabled  bool   `json:"enabled" about:"it would listen"`
}

// ports are the ports that a profile's gateway would listen on.
func ports() ProfileSource {
	const about = "ports of the profile, from its .env and config.yaml; the environment of the container may override them"
	return profileFact("ports", byAgent, about, func(dir policy.Directory) portsFact {
		return describePorts(entryOf(dir.Profile()), read.ReadDotenv(dir), read.ReadConfig(dir))
	})
}

func describePorts(name string, env read.Dotenv, config read.Config) portsFact {
	f := portsFact{Outcome: env.Outcome, Ports: []port{}, Derived: derivedPort(name), ConfigStatus: config.Status}
	api := listener{"api_server", "API_SERVER", defaultAPIPort}
	f.APIServerKey = api.hasKey(env, config)
	f.APIServerEnabled = f.APIServerKey || api.enabled(env, config)
	f.add(api, env, config, f.APIServerEnabled)

	webhook := listener{"webhook", "WEBHOOK", defaultWebhookPort}
	f.add(webhook, env, config, webhook.enabled(env, config))
	return f
}

// add lists a listener that is on, or whose port is configured.
func (f *portsFact) add(l listener, env read.Dotenv, config read.Config, enabled bool) {
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
func (l listener) section(config read.Config) bool {
	return config.At("platforms", l.platform).Exists() || config.At("gateway", "platforms", l.platform).Exists()
}

func (l listener) port(env read.Dotenv, config read.Config) (int, string) {
	if s, ok := env.Get(l.prefix + "_PORT"); ok {
		if n, err := strconv.Atoi(s); err == nil && isPort(n) {
			return n, ".env"
		}
	}
	for _, keys := range [][]string{
		{"platforms", l.platform, "extra", "port"}, {"platforms", l.platform, "port"},
		{"gateway", "platforms", l.platform, "extra", "port"}, {"gateway", "platforms", l.platform, "port"},
	} {
		if n, ok := config.At(keys...).Int(); ok && isPort(n) {
			return n, "config.yaml"
		}
	}
	return l.usual, "default"
}

func (l listener) enabled(env read.Dotenv, config read.Config) bool {
	if on, _ := read.ParseSwitch(env.Values[l.prefix+"_ENABLED"]); on != nil {
		return *on
	}
	for _, keys := range [][]string{{"platforms", l.platform, "enabled"}, {"gateway", "platforms", l.platform, "enabled"}} {
		if on := config.At(keys...).Bool(); on != nil {
			return *on
		}
	}
	return false
}

func (l listener) hasKey(env read.Dotenv, config read.Config) bool {
	if _, ok := env.Get(l.prefix + "_KEY"); ok {
		return true
	}
	for _, keys := range [][]string{{"platforms", l.platform, "extra", "key"}, {"platforms", l.platform, "key"}, {"gateway", "platforms", l.platform, "key"}} {
		if s, ok := config.At(keys...).Text(); ok && s != "" {
			return true
		}
	}
	return false
}

func isPort(n int) bool { return n > 0 && n < 65536 }

// derivedPort returns the port that upstream once derived from a name.
func derivedPort(name string) int {
	sum := sha256.Sum256([]byte(name))
	return int(binary.BigEndian.Uint32(sum[:4])%600) + 9200
}
