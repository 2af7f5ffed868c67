package facts

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"

	"hermes-reconcile/engine/facts/read"
)

// Upstream's default ports.
const (
	defaultAPIPort     = 8642
	defaultWebhookPort = 8644
)

type portsFact struct {
	read.Outcome
	Ports            []port `json:"ports" about:"listeners that the files or the environment mention, and those that are on" of:"one listener"`
	Derived          int    `json:"derived" about:"port that upstream once derived from the name: the first 8 hexadecimal digits of its SHA-256 modulo 600, plus 9200" by:"image"`
	APIServerEnabled bool   `json:"api_server_enabled" about:"the API server would listen: it has a usable key, and either enabled: true in config.yaml, or the key in a variable without enabled: false"`
	APIServerKey     bool   `json:"api_server_key" about:"the profile has a usable key: at least 16 characters and no placeholder, in API_SERVER_KEY or in config.yaml"`
	ConfigStatus     string `json:"config_status" about:"how reading config.yaml went" words:"status"`
}

type port struct {
	Platform string `json:"platform" about:"the listener" words:"api_server,webhook"`
	Port     int    `json:"port" about:"the port; upstream's default if none is configured, which two profiles then share"`
	Source   string `json:"source" about:"where the port is configured; the environment of the container counts for every profile" words:"managed,.env,config.yaml,environment,default"`
	Enabled  bool   `json:"enabled" about:"it would listen"`
}

func ports(name string, s setup) portsFact {
	f := portsFact{Outcome: s.env.Outcome, Ports: []port{}, Derived: derivedPort(name), ConfigStatus: s.config.Status}
	configured := s.configured()
	add := func(platform string, number int, source string, on bool) {
		if on || source != fromDefault || slices.Contains(configured, platform) {
			f.Ports = append(f.Ports, port{platform, number, source, on})
		}
	}
	api := s.listensAPI()
	f.APIServerEnabled, f.APIServerKey = api.On, api.hasKey
	add(apiServer, api.port, api.portSource, api.On)

	webhook := s.platform(platformNamed("webhook"))
	number, source := s.port("webhook", "WEBHOOK_PORT", true, defaultWebhookPort)
	add("webhook", number, source, webhook.On)
	return f
}

// port returns the port of a platform and where it is configured: in a variable, in config.yaml,
// or nowhere.
func (s setup) port(platform, variable string, variableWins bool, usual int) (number int, source string) {
	text, _, source := s.platformKey(platform, "port")
	number = parsePort(text)
	value, valueSource := s.variable(variable)
	if n := parsePort(value); n > 0 && (variableWins || number == 0) {
		return n, valueSource
	}
	if number == 0 {
		return usual, fromDefault
	}
	return number, source
}

// parsePort returns the port that a text names, or 0.
func parsePort(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 65535 {
		return 0
	}
	return n
}

func derivedPort(name string) int {
	sum := sha256.Sum256([]byte(name))
	return int(binary.BigEndian.Uint32(sum[:4])%600) + 9200
}
