package facts

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"hermes-reconcile/engine/facts/read"
)

// A platform is one that a gateway can serve, and how upstream's loader switches it on.
type platform struct {
	name string
	// by are the variables that switch it on: all of one list. A variable whose name ends in
	// _ENABLED has to be true.
	by [][]string
	// always: the variables switch it on even against enabled: false in config.yaml.
	always bool
	// claims are the variables that name the bot or account that only one gateway can use;
	// the first that is set counts. There are none if several gateways can share it.
	claims []string
	// prefix begins the names of its variables; withPrefixes sets it to the name in capitals.
	prefix string
}

// platformTable is that of upstream's _apply_env_overrides (August 2026).
var platformTable = withPrefixes([]platform{
	{name: "telegram", by: [][]string{{"TELEGRAM_BOT_TOKEN"}}, claims: []string{"TELEGRAM_BOT_TOKEN"}},
	{name: "discord", by: [][]string{{"DISCORD_BOT_TOKEN"}}, claims: []string{"DISCORD_BOT_TOKEN"}},
	{name: "slack", by: [][]string{{"SLACK_BOT_TOKEN"}}, claims: []string{"SLACK_BOT_TOKEN"}},
	{name: "mattermost", by: [][]string{{"MATTERMOST_TOKEN"}}, claims: []string{"MATTERMOST_TOKEN"}},
	{name: "matrix", by: [][]string{{"MATRIX_ACCESS_TOKEN"}, {"MATRIX_PASSWORD"}}, claims: []string{"MATRIX_ACCESS_TOKEN", "MATRIX_USER_ID"}},
	{name: "whatsapp_cloud", by: [][]string{{"WHATSAPP_CLOUD_PHONE_NUMBER_ID", "WHATSAPP_CLOUD_ACCESS_TOKEN"}}, always: true, claims: []string{"WHATSAPP_CLOUD_PHONE_NUMBER_ID"}},
	{name: "whatsapp", by: [][]string{{"WHATSAPP_ENABLED"}}, always: true},
	{name: "signal", by: [][]string{{"SIGNAL_HTTP_URL", "SIGNAL_ACCOUNT"}}, claims: []string{"SIGNAL_ACCOUNT"}},
	{name: "homeassistant", by: [][]string{{"HASS_TOKEN"}}, always: true, prefix: "HASS_"},
	{name: "email", by: [][]string{{"EMAIL_ADDRESS", "EMAIL_PASSWORD", "EMAIL_IMAP_HOST", "EMAIL_SMTP_HOST"}}, always: true, claims: []string{"EMAIL_ADDRESS"}},
	{name: "sms", by: [][]string{{"TWILIO_ACCOUNT_SID"}}, always: true, claims: []string{"TWILIO_ACCOUNT_SID"}, prefix: "TWILIO_"},
	{name: "webhook", by: [][]string{{"WEBHOOK_ENABLED"}}, always: true},
	{name: "msgraph_webhook", by: [][]string{{"MSGRAPH_WEBHOOK_ENABLED"}}, always: true},
	{name: "dingtalk", by: [][]string{{"DINGTALK_CLIENT_ID", "DINGTALK_CLIENT_SECRET"}}, always: true, claims: []string{"DINGTALK_CLIENT_ID"}},
	{name: "feishu", by: [][]string{{"FEISHU_APP_ID", "FEISHU_APP_SECRET"}}, always: true, claims: []string{"FEISHU_APP_ID"}},
	{name: "wecom_callback", by: [][]string{{"WECOM_CALLBACK_CORP_ID", "WECOM_CALLBACK_CORP_SECRET"}}, always: true},
	{name: "wecom", by: [][]string{{"WECOM_BOT_ID", "WECOM_SECRET"}}, always: true, claims: []string{"WECOM_BOT_ID"}},
	{name: "weixin", by: [][]string{{"WEIXIN_TOKEN"}, {"WEIXIN_ACCOUNT_ID"}}, always: true, claims: []string{"WEIXIN_TOKEN", "WEIXIN_ACCOUNT_ID"}},
	{name: "bluebubbles", by: [][]string{{"BLUEBUBBLES_SERVER_URL", "BLUEBUBBLES_PASSWORD"}}, always: true, claims: []string{"BLUEBUBBLES_SERVER_URL"}},
	{name: "qqbot", by: [][]string{{"QQ_APP_ID"}, {"QQ_CLIENT_SECRET"}}, always: true, claims: []string{"QQ_APP_ID"}, prefix: "QQ_"},
	{name: "yuanbao", by: [][]string{{"YUANBAO_APP_ID", "YUANBAO_APP_SECRET"}, {"YUANBAO_APP_KEY", "YUANBAO_APP_SECRET"}}, always: true, claims: []string{"YUANBAO_APP_ID", "YUANBAO_APP_KEY"}},
	{name: "relay", by: [][]string{{"GATEWAY_RELAY_URL"}}, prefix: "GATEWAY_RELAY_"},
	{name: apiServer}, // its key decides, see listensAPI
})

func withPrefixes(table []platform) []platform {
	for i, p := range table {
		table[i].prefix = cmp.Or(p.prefix, strings.ToUpper(p.name)+"_")
	}
	return table
}

const apiServer = "api_server"

// platformNamed returns the entry of a platform; for an unknown one it has only the name.
func platformNamed(name string) platform {
	if n := slices.IndexFunc(platformTable, func(p platform) bool { return p.name == name }); n >= 0 {
		return platformTable[n]
	}
	return platform{name: name}
}

// platformOf returns the platform that a variable belongs to, "" if it belongs to none.
func platformOf(variable string) string {
	for _, p := range platformTable { // wecom_callback stands before wecom
		if strings.HasPrefix(variable, p.prefix) {
			return p.name
		}
	}
	return ""
}

type platformsFact struct {
	read.Outcome
	Platforms    map[string]shownPlatform `json:"platforms" about:"the platforms that the profile's files or the container's environment set up, by name" of:"one platform"`
	ConfigStatus string                   `json:"config_status" about:"how reading config.yaml went" words:"status"`
}

type platformFact struct {
	On     bool     `json:"on" about:"a gateway of the profile would serve it"`
	By     []string `json:"by" about:"what decides: names of variables, or enabled in config.yaml; empty when nothing switches it" of:"a name"`
	Source string   `json:"source" about:"where that stands; the environment of the container counts for every profile" words:"managed,.env,config.yaml,environment,default"`
}

type shownPlatform struct {
	platformFact
	Credentials bool `json:"credentials" about:"what it logs in with is there: its variables, or their values or a token in config.yaml"`
}

func platforms(s setup) platformsFact {
	f := platformsFact{Outcome: s.env.Outcome, Platforms: map[string]shownPlatform{}, ConfigStatus: s.config.Status}
	names := s.configured()
	for _, p := range platformTable {
		if by, _ := s.switches(p); by != nil || p.name == apiServer && s.isSet("API_SERVER_KEY") {
			names = append(names, p.name)
		}
	}
	for _, name := range names[:min(len(names), maxPlatforms)] {
		p := platformNamed(name)
		f.Platforms[read.Bounded(name, 128)] = shownPlatform{s.platform(p), s.hasCredentials(p)}
	}
	return f
}

// hasCredentials reports whether a gateway finds what it logs in with at a platform.
func (s setup) hasCredentials(p platform) bool {
	if len(p.by) == 0 {
		return slices.ContainsFunc(tokens(s).Tokens, func(t token) bool { return t.Scope == p.name })
	}
	token, _, _ := s.platformKey(p.name, "token")
	return token != "" || slices.ContainsFunc(p.by, func(all []string) bool {
		return !slices.ContainsFunc(all, func(variable string) bool {
			value, _, _ := s.platformKey(p.name, strings.ToLower(strings.TrimPrefix(variable, p.prefix)))
			return value == "" && !s.isSet(variable)
		})
	})
}

// platform finds out whether a gateway would serve a platform, and what decides.
func (s setup) platform(p platform) platformFact {
	if p.name == apiServer {
		return s.listensAPI().platformFact
	}
	on, source := s.switched(p.name)
	by, bySource := s.switches(p)
	if by != nil && (p.always || on == nil || *on) {
		return platformFact{true, by, bySource}
	}
	if value, off := s.variable("WHATSAPP_ENABLED"); p.name == "whatsapp" {
		if on, _ := read.ParseSwitch(value); on != nil && !*on {
			return platformFact{false, []string{"WHATSAPP_ENABLED"}, off}
		}
	}
	if on != nil {
		return platformFact{*on, []string{"enabled"}, source}
	}
	return platformFact{false, []string{}, fromDefault}
}

// switches returns the variables that switch a platform on and where the first of them is
// set, or nil.
func (s setup) switches(p platform) (by []string, source string) {
	for _, all := range p.by {
		missing := slices.ContainsFunc(all, func(name string) bool {
			value, _ := s.variable(name)
			on, _ := read.ParseSwitch(value)
			return value == "" || strings.HasSuffix(name, "_ENABLED") && (on == nil || !*on)
		})
		if !missing {
			_, source := s.variable(all[0])
			return all, source
		}
	}
	return nil, ""
}

// An apiListener is the API server of a gateway.
type apiListener struct {
	platformFact
	hasKey     bool // a usable one
	port       int
	portSource string
}

// listensAPI finds out whether the API server listens: it needs a usable key, and either
// enabled in config.yaml, or the key in a variable and nothing that disables it.
func (s setup) listensAPI() apiListener {
	on, source := s.switched(apiServer)
	l := apiListener{platformFact: platformFact{By: []string{}, Source: fromDefault}}
	key, keySource := s.variable("API_SERVER_KEY")
	byVariable := isUsableKey(key)
	if written, _, from := s.platformKey(apiServer, "key"); !byVariable && from != "" {
		key = written
	}
	l.hasKey = isUsableKey(key)
	switch {
	case on != nil:
		l.platformFact = platformFact{l.hasKey && *on, []string{"enabled"}, source}
	case byVariable:
		l.platformFact = platformFact{true, []string{"API_SERVER_KEY"}, keySource}
	}
	l.port, l.portSource = s.port(apiServer, "API_SERVER_PORT", byVariable, defaultAPIPort)
	return l
}

// placeholders are the keys that upstream refuses (has_usable_secret).
var placeholders = []string{
	"*", "**", "***", "changeme", "your_api_key", "your_api_key_here", "your-api-key", "placeholder", "example", "dummy", "null", "none",
}

// isUsableKey reports whether the API server accepts a key.
func isUsableKey(key string) bool {
	return utf8.RuneCountInString(key) >= 16 && !slices.Contains(placeholders, strings.ToLower(key))
}
