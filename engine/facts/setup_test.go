package facts

import (
	"os"
	"strconv"
	"syscall"
	"testing"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/hometest"
)

const (
	usableKey = "0123456789abcdef0123"
)

// A setupCase is what a profile and its container are set up with.
type setupCase struct {
	name                    string
	env, config             string // of the profile
	managedEnv, managedYAML string // of the administrator
	environ                 []string
	want                    map[string]string
}

func checkSetups(t *testing.T, fact string, cases []setupCase) {
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{"profiles/coder/": ""}
			for name, text := range map[string]string{".env": test.env, "config.yaml": test.config} {
				if text != "" {
					files["profiles/coder/"+name] = text
				}
			}
			h := newHome(t, files)
			c := configFor(t, h)
			c.Environ = test.environ
			for name, text := range map[string]string{".env": test.managedEnv, "config.yaml": test.managedYAML} {
				if text != "" {
					hometest.Put(t, c.ManagedDir, name, text)
				}
			}
			facttest.Want(t, collectedFor(t, profileSource(t, c.withDefaults(), fact), h, "coder"), test.want)
		})
	}
}

// apiPort is the only listener, the API server.
func apiPort(port, source, enabled string) string {
	return `[{"enabled":` + enabled + `,"platform":"api_server","port":` + port + `,"source":"` + source + `"}]`
}

// The API server listens if it has a usable key, and is enabled in config.yaml or has the key
// in a variable that nothing disables (upstream's _apply_env_overrides and the start of its
// api_server adapter).
func TestAPIServerListens(t *testing.T) {
	const on, off = "platforms: {api_server: {enabled: true}}", "platforms: {api_server: {enabled: false}}"
	const keyed = "platforms: {api_server: {enabled: true, extra: {key: " + usableKey + "}}}"
	listens := func(yes string) map[string]string { return map[string]string{"api_server_enabled": yes} }
	checkSetups(t, "ports", []setupCase{
		{name: "nothing", want: map[string]string{"status": `"missing"`, "ports": "[]", "derived": "9570", "api_server_enabled": "false", "api_server_key": "false"}},
		{name: "a usable key", env: "API_SERVER_KEY=" + usableKey, want: map[string]string{"api_server_enabled": "true", "api_server_key": "true", "ports": apiPort("8642", "default", "true")}},
		{name: "a short key", env: "API_SERVER_KEY=changeme", want: listens("false")},
		{name: "a placeholder", env: "API_SERVER_KEY='your_api_key_here'", want: listens("false")},
		{name: "15 characters", env: "API_SERVER_KEY=0123456789abcde", want: listens("false")},
		{name: "a blank key", env: "API_SERVER_KEY='   '\nAPI_SERVER_PORT=9000", want: map[string]string{"api_server_enabled": "false", "ports": apiPort("9000", ".env", "false")}},
		{name: "enabled without a key", env: "API_SERVER_ENABLED=true", want: listens("false")},
		{name: "not enabled by the variable, with a key", env: "API_SERVER_ENABLED=false\nAPI_SERVER_KEY=" + usableKey, want: listens("true")},
		{name: "a key against enabled: false", env: "API_SERVER_KEY=" + usableKey, config: off, want: map[string]string{"api_server_enabled": "false", "api_server_key": "true"}},
		{name: "a key and enabled: true", env: "API_SERVER_KEY=" + usableKey, config: on, want: listens("true")},
		{name: "enabled: true without a key", config: on, want: listens("false")},
		{name: "enabled: true with a short key", env: "API_SERVER_KEY=short", config: on, want: listens("false")},
		{name: "enabled: true and a key in config.yaml", config: keyed, want: listens("true")},
		{name: "a short variable does not hide the key of config.yaml", env: "API_SERVER_KEY=short", config: keyed, want: listens("true")},
		{name: "a key in config.yaml alone", config: "platforms: {api_server: {extra: {key: " + usableKey + "}}}", want: listens("false")},
		{name: "a key beside extra", config: "gateway: {api_server: {enabled: yes, key: " + usableKey + "}}", want: listens("true")},
		{name: "a key in the container's environment", environ: []string{"API_SERVER_KEY=" + usableKey}, want: listens("true")},
		{name: "a blank key hides that of the environment", env: "API_SERVER_KEY=", environ: []string{"API_SERVER_KEY=" + usableKey}, want: listens("false")},
		{name: "the administrator disables it", env: "API_SERVER_KEY=" + usableKey, config: on, managedYAML: off, want: listens("false")},
		{name: "the administrator gives the key", managedEnv: "API_SERVER_KEY=" + usableKey, want: listens("true")},
		{name: "a key that is a placeholder of a variable", config: "platforms: {api_server: {enabled: true, key: '${MY_KEY}'}}", env: "MY_KEY=" + usableKey, want: listens("true")},
		{name: "a placeholder of nothing", config: "platforms: {api_server: {enabled: true, key: '${MY_KEY}'}}", want: listens("false")},
		{name: "enabled by the key at the top", env: "API_SERVER_KEY=" + usableKey, config: "api_server: {enabled: false}\n" + on, want: listens("false")},
	})
}

func TestPortsOfTheAPIServer(t *testing.T) {
	const key = "API_SERVER_KEY=" + usableKey + "\n"
	ports := func(port, source string) map[string]string {
		return map[string]string{"ports": apiPort(port, source, "true")}
	}
	checkSetups(t, "ports", []setupCase{
		{name: "the variable wins", env: key + "API_SERVER_PORT=9001", config: "platforms: {api_server: {port: 9002}}", want: ports("9001", ".env")},
		{name: "the file alone", env: key, config: "platforms: {api_server: {port: 9002}}", want: ports("9002", "config.yaml")},
		{name: "gateway.api_server wins over platforms", env: key, config: "platforms: {api_server: {port: 9002}}\ngateway: {api_server: {port: 9003}}", want: ports("9003", "config.yaml")},
		{name: "platforms wins over gateway.platforms", env: key, config: "platforms: {api_server: {port: 9002}}\ngateway: {platforms: {api_server: {port: 9004}}}", want: ports("9002", "config.yaml")},
		{name: "merged key by key", env: key, config: "platforms: {api_server: {extra: {host: h}}}\ngateway: {platforms: {api_server: {extra: {port: 9004}}}}", want: ports("9004", "config.yaml")},
		{name: "the container's environment", environ: []string{"API_SERVER_KEY=" + usableKey, "API_SERVER_PORT=9005"}, want: ports("9005", "environment")},
		{name: "a variable counts only with its key", config: "platforms: {api_server: {enabled: true, key: " + usableKey + ", port: 9002}}", environ: []string{"API_SERVER_PORT=9005"}, want: ports("9002", "config.yaml")},
		{name: "and where the file has none", config: "platforms: {api_server: {enabled: true, key: " + usableKey + "}}", environ: []string{"API_SERVER_PORT=9005"}, want: ports("9005", "environment")},
		{name: "no port", env: key + "API_SERVER_PORT=99999", want: ports("8642", "default")},
		{name: "a webhook", env: "WEBHOOK_ENABLED=1\nWEBHOOK_PORT=9100", want: map[string]string{"ports": `[{"enabled":true,"platform":"webhook","port":9100,"source":".env"}]`}},
		{name: "a webhook in the file", config: "platforms: {webhook: {enabled: on, port: 8649}}", want: map[string]string{"ports": `[{"enabled":true,"platform":"webhook","port":8649,"source":"config.yaml"}]`}},
		{name: "a webhook in the file, enabled by the variable", env: "WEBHOOK_ENABLED=true", config: "platforms: {webhook: {enabled: false}}", want: map[string]string{"ports": `[{"enabled":true,"platform":"webhook","port":8644,"source":"default"}]`}},
	})
	if got := derivedPort("default"); got != 9449 {
		t.Errorf("derivedPort(default) = %d, want 9449", got)
	}
}

func TestPlatforms(t *testing.T) {
	on := func(platform, by, source string) map[string]string {
		return map[string]string{"platforms": `{"` + platform + `":{"by":` + by + `,"credentials":` + strconv.FormatBool(by != `["enabled"]`) + `,"on":true,"source":"` + source + `"}}`}
	}
	checkSetups(t, "platforms", []setupCase{
		{name: "none", want: map[string]string{"status": `"missing"`, "platforms": "{}"}},
		{name: "telegram", env: "TELEGRAM_BOT_TOKEN=1:a", want: on("telegram", `["TELEGRAM_BOT_TOKEN"]`, ".env")},
		{name: "matrix by password", env: "MATRIX_USER_ID=@a:m.example\nMATRIX_PASSWORD=x", want: on("matrix", `["MATRIX_PASSWORD"]`, ".env")},
		{name: "home assistant", env: "HASS_TOKEN=x", want: on("homeassistant", `["HASS_TOKEN"]`, ".env")},
		{name: "whatsapp", env: "WHATSAPP_ENABLED=true", want: on("whatsapp", `["WHATSAPP_ENABLED"]`, ".env")},
		{name: "signal", env: "SIGNAL_HTTP_URL=http://s:8080\nSIGNAL_ACCOUNT=+100", want: on("signal", `["SIGNAL_HTTP_URL","SIGNAL_ACCOUNT"]`, ".env")},
		{name: "half of signal", env: "SIGNAL_ACCOUNT=+100", want: map[string]string{"platforms": "{}"}},
		{name: "of the container", environ: []string{"DISCORD_BOT_TOKEN=x"}, want: on("discord", `["DISCORD_BOT_TOKEN"]`, "environment")},
		{name: "of the administrator", managedEnv: "SLACK_BOT_TOKEN=x", want: on("slack", `["SLACK_BOT_TOKEN"]`, "managed")},
		{name: "a key in the file", config: "platforms: {irc: {enabled: true}}", want: on("irc", `["enabled"]`, "config.yaml")},
		{name: "below gateway", config: "gateway: {telegram: {enabled: true}}", want: on("telegram", `["enabled"]`, "config.yaml")},
		{name: "disabled in the file in spite of a token", env: "TELEGRAM_BOT_TOKEN=1:a", config: "platforms: {telegram: {enabled: false}}",
			want: map[string]string{"platforms/telegram/on": "false", "platforms/telegram/by": `["enabled"]`}},
		{name: "a token starts dingtalk even then", env: "DINGTALK_CLIENT_ID=a\nDINGTALK_CLIENT_SECRET=b", config: "platforms: {dingtalk: {enabled: false}}",
			want: map[string]string{"platforms/dingtalk/on": "true"}},
		{name: "whatsapp off by its variable", env: "WHATSAPP_ENABLED=false", config: "platforms: {whatsapp: {enabled: true}}",
			want: map[string]string{"platforms/whatsapp/on": "false", "platforms/whatsapp/by": `["WHATSAPP_ENABLED"]`}},
		{name: "switched at the top", config: "platforms: {telegram: {enabled: true}}\ntelegram: {enabled: false}", want: map[string]string{"platforms/telegram/on": "false"}},
		{name: "credentials in the file", config: "platforms: {signal: {enabled: true, extra: {http_url: x, account: y}}}", want: map[string]string{"platforms/signal/credentials": "true"}},
		{name: "half of them", config: "platforms: {signal: {enabled: true, extra: {account: y}}}", want: map[string]string{"platforms/signal/on": "true", "platforms/signal/credentials": "false"}},
		{name: "one here, one there", env: "SIGNAL_HTTP_URL=x", config: "platforms: {signal: {enabled: true, account: y}}", want: map[string]string{"platforms/signal/credentials": "true"}},
		{name: "another secret of the platform", env: "TELEGRAM_WEBHOOK_SECRET=x", config: "platforms: {telegram: {enabled: true}}", want: map[string]string{"platforms/telegram/credentials": "false"}},
		{name: "an account without a password", env: "MATRIX_USER_ID=@a:m", config: "platforms: {matrix: {enabled: true}}", want: map[string]string{"platforms/matrix/credentials": "false"}},
		{name: "a token in the file", config: "platforms: {telegram: {enabled: true, token: x}}", want: map[string]string{"platforms/telegram/credentials": "true"}},
		{name: "a platform that is not known", config: "platforms: {irc: {enabled: true, extra: {server_token: x}}}", want: map[string]string{"platforms/irc/credentials": "true"}},
		{name: "the API server", env: "API_SERVER_KEY=" + usableKey, want: map[string]string{"platforms/api_server/credentials": "true"}},
		{name: "a merge key", config: "base: &b {telegram: {enabled: true}}\nplatforms: {<<: *b, slack: {enabled: true}}\n",
			want: map[string]string{"platforms/telegram/on": "true", "platforms/slack/on": "true", "platforms/<<": "absent"}},
		{name: "a list of merge keys", config: "a: &a {telegram: {enabled: true}}\nb: &b {slack: {enabled: true}}\nplatforms: {<<: [*a, *b]}\n",
			want: map[string]string{"platforms/telegram/on": "true", "platforms/slack/on": "true"}},
		{name: "a mapping without a switch", config: "platforms: {telegram: {token: x}}", want: map[string]string{"platforms/telegram/on": "false", "platforms/telegram/by": "[]"}},
	})
}

func TestTokens(t *testing.T) {
	token := func(value, name, scope, source, exclusive string) string {
		return `{"exclusive":` + exclusive + `,"fingerprint":"` + fact.Fingerprint(value) + `","name":"` + name + `","scope":"` + scope + `","source":"` + source + `"}`
	}
	const file = "platforms:\n  telegram: {enabled: true, token: "
	checkSetups(t, "tokens", []setupCase{
		{name: "missing", want: map[string]string{"status": `"missing"`, "tokens": "[]", "env_link": "false", "config_status": `"missing"`}},
		{name: "a link is not followed", env: "-> shared", want: map[string]string{"status": `"unreadable"`, "env_link": "true", "tokens": "[]"}},
		{name: "dotenv", env: "export TELEGRAM_BOT_TOKEN=\"s3cret\" # mine\nEMPTY_TOKEN=\nNOT_A_SECRETS=1\n",
			want: map[string]string{"status": `"recorded"`, "tokens": "[" + token("s3cret", "TELEGRAM_BOT_TOKEN", "telegram", ".env", "true") + "]"}},
		{name: "the scope is the platform", env: "SLACK_APP_TOKEN=a\nHASS_TOKEN=b\nMATRIX_ACCESS_TOKEN=c\nDINGTALK_CLIENT_SECRET=d\n", want: map[string]string{"tokens": "[" +
			token("a", "SLACK_APP_TOKEN", "slack", ".env", "false") + "," + token("b", "HASS_TOKEN", "homeassistant", ".env", "false") + "," +
			token("c", "MATRIX_ACCESS_TOKEN", "matrix", ".env", "true") + "," + token("d", "DINGTALK_CLIENT_SECRET", "dingtalk", ".env", "false") + "]"}},
		{name: "an account without a token", env: "MATRIX_USER_ID=@a:m\nMATRIX_PASSWORD=pw", want: map[string]string{"tokens": "[" + token("@a:m", "MATRIX_USER_ID", "matrix", ".env", "true") + "]"}},
		{name: "a provider is shared", env: "OPENAI_API_KEY=k", want: map[string]string{"tokens": "[" + token("k", "OPENAI_API_KEY", "openai_api", ".env", "false") + "]"}},
		{name: "the API server's key is shared", env: "API_SERVER_KEY=k", want: map[string]string{"tokens": "[" + token("k", "API_SERVER_KEY", "api_server", ".env", "false") + "]"}},
		{name: "config", config: file + "s3cret}\n  slack: {extra: {app_token: x}}\n", want: map[string]string{"config_status": `"recorded"`, "tokens": "[" +
			token("x", "platforms.slack.extra.app_token", "slack", "config.yaml", "false") + "," + token("s3cret", "platforms.telegram.token", "telegram", "config.yaml", "true") + "]"}},
		{name: "a variable wins over the file", env: "TELEGRAM_BOT_TOKEN=own", config: file + "old}", want: map[string]string{"tokens": "[" + token("own", "TELEGRAM_BOT_TOKEN", "telegram", ".env", "true") + "]"}},
		{name: "a placeholder", config: file + "'${BOT}'}", env: "BOT=s3cret", want: map[string]string{"tokens": "[" + token("s3cret", "platforms.telegram.token", "telegram", "config.yaml", "true") + "]"}},
		{name: "a placeholder of nothing is no token", config: file + "'${BOT}'}", want: map[string]string{"tokens": "[]"}},
		{name: "of the container", environ: []string{"TELEGRAM_BOT_TOKEN=all"}, want: map[string]string{"tokens": "[" + token("all", "TELEGRAM_BOT_TOKEN", "telegram", "environment", "true") + "]"}},
		{name: "its own wins over the container's", env: "TELEGRAM_BOT_TOKEN=own", environ: []string{"TELEGRAM_BOT_TOKEN=all"}, want: map[string]string{"tokens": "[" + token("own", "TELEGRAM_BOT_TOKEN", "telegram", ".env", "true") + "]"}},
		{name: "a variable in a value", env: "ID=12\nTELEGRAM_BOT_TOKEN=${ID}:${SECRET:-abc}${NOTHING}\nID=12\n", environ: []string{"SECRET=xyz"},
			want: map[string]string{"tokens": "[" + token("12:xyz", "TELEGRAM_BOT_TOKEN", "telegram", ".env", "true") + "]"}},
		{name: "a variable that is not set", env: "TELEGRAM_BOT_TOKEN=${NOTHING}", want: map[string]string{"tokens": "[]"}},
		{name: "characters that are not ASCII", env: "TELEGRAM_BOT_TOKEN=own\u200b", want: map[string]string{"tokens": "[" + token("own", "TELEGRAM_BOT_TOKEN", "telegram", ".env", "true") + "]"}},
		{name: "Latin-1", env: "NOTE=caf\xe9\nTELEGRAM_BOT_TOKEN=own\n", want: map[string]string{"status": `"recorded"`, "tokens": "[" + token("own", "TELEGRAM_BOT_TOKEN", "telegram", ".env", "true") + "]"}},
		{name: "UTF-16", env: "\xff\xfeT\x00=\x00x\x00\n\x00H\x00A\x00S\x00S\x00_\x00T\x00O\x00K\x00E\x00N\x00=\x00y\x00\r\x00\n\x00", want: map[string]string{"status": `"recorded"`, "tokens": "[" + token("y", "HASS_TOKEN", "homeassistant", ".env", "false") + "]"}},
	})
}

// Files that upstream's parser refuses are invalid here too: it then ignores the whole file.
func TestConfigThatUpstreamRefuses(t *testing.T) {
	const good = "platforms: {telegram: {enabled: true}}\n"
	for name, text := range map[string]string{
		"a second document": good + "---\na: 1\n", "a tab before a value": "a:\t1\n", "a tab for an indent": "a:\n\tb: 1\n",
		"a tab behind a value": "a: 1\t\n", "Latin-1": "a: caf\xe9\n",
		"a tag of an application": "a: !secret token\n", "a tag of Python": "a: !!python/none\n", "a list as a key": "? [a]\n: b\n", "a mapping as a key": "x: &a {b: c}\n*a : d\n", "two anchors of one name": "a: &x 1\nb: &x 2\n",
	} {
		checkSetups(t, "config", []setupCase{{name: name, config: text, want: map[string]string{"status": `"invalid"`}}})
	}
	for name, text := range map[string]string{
		"a BOM": "\ufeff" + good, "CRLF": "platforms:\r\n  telegram:\r\n    enabled: true\r\n", "a tab in quotes": good + "a: \"x\ty\"\n", "a tab in a comment": good + "a: 1 # x\ty\n",
		"a tab in a block": good + "a: |\n  x\ty\n\n  \tz\nb: 2\n", "one document with its marks": "---\n" + good + "...\n", "plain tags": good + "a: !!str 5\nb: !!set {c}\n", "an anchor used twice": good + "a: &x {b: c}\nd: *x\ne: *x\n",
	} {
		checkSetups(t, "config", []setupCase{{name: name, config: text, want: map[string]string{"status": `"recorded"`, "platforms/telegram/enabled": "true"}}})
	}
}

// A gateway that lives has not ended uncleanly.
func TestLifecycleOfALivingGateway(t *testing.T) {
	h := newHome(t, map[string]string{"profiles/coder/gateway.lock": "", "profiles/coder/state/gateway.lifecycle.json": `{"phase":"running"}`})
	lifecycle := func() map[string]any {
		return collectedFor(t, profileSource(t, configFor(t, h), "lifecycle"), h, "coder")
	}
	facttest.Want(t, lifecycle(), map[string]string{"exit": `"unclean"`})
	f, err := os.Open(h.Path() + "/profiles/coder/gateway.lock")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	facttest.Want(t, lifecycle(), map[string]string{"exit": `"running"`})
}
