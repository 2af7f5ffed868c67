package facts

import (
	"slices"
	"strings"
	"testing"

	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/hometest"
)

// Files in the shapes that hermes-agent, its setup programs and people write, with their
// values replaced. Each profile has what its gateway would make of them.
func TestRealShapes(t *testing.T) {
	const (
		setupState = `{"pid":41,"kind":"hermes-gateway","argv":["/opt/hermes/.venv/bin/hermes","-p","coder","gateway","run","--replace"],"start_time":24081,"hermes_home":"/opt/data/profiles/coder",` +
			`"gateway_state":"running","exit_reason":null,"restart_requested":false,"active_agents":0,"platforms":{"telegram":{"state":"connected","error_code":null,"error_message":null,"updated_at":"2026-11-21T20:14:03.118274+00:00"}},` +
			`"updated_at":"2026-11-21T20:14:03.118301+00:00","desired_state":"running"}`
		failedState = `{
  "pid": 512, "kind": "hermes-gateway", "argv": ["hermes", "gateway", "run"], "start_time": 98213,
  "gateway_state": "startup_failed", "exit_reason": "api_server: Port 8701 already in use. Set a different port in config.yaml: platforms.api_server.port",
  "restart_requested": false, "active_agents": 0,
  "platforms": {"api_server": {"state": "fatal", "error_code": "api_server_port_in_use", "error_message": "x", "needs_attention": true, "retrying_since": null}},
  "session_store": {"status": "ok"}, "code_sha": "1f2e3d", "code_version": "0.21.5", "updated_at": "2026-11-21T20:14:03.118301+00:00", "desired_state": "running"
}`
		setupYAML = "model:\n  default: anthropic/claude-opus-4.6\n  provider: auto\n  base_url: https://openrouter.ai/api/v1\ntoolsets:\n- all\nagent:\n  max_turns: 60\n" +
			"terminal:\n  backend: local\n  cwd: .\n  timeout: 180\n# A comment of the program's\nplatforms:\n  telegram:\n    enabled: true\n    home_channel: {chat_id: '-100123', name: Home}\n    extra: {}\n_config_version: 12\n"
		handYAML  = "# mine\nmodel: gpt-5-mini   # cheap\nprovider: \"custom\"\ngateway:\n    multiplex_profiles: no\n    api_server: {enabled: yes, port: '8650', key: '${API_KEY_OF_MINE}'}\ndiscord:\n    require_mention: true\n    allowed_channels: \"\"\nplatforms: {}\n"
		setupEnv  = "# Hermes Agent Environment Configuration\n# Copy this file to .env\n\n# OpenRouter\nOPENROUTER_API_KEY=sk-or-v1-x\n# OPENAI_API_KEY=\n\nTELEGRAM_BOT_TOKEN=100:AAx\nTELEGRAM_ALLOWED_USERS=1,2\nTELEGRAM_HOME_CHANNEL=\nBROWSERBASE_API_KEY=\nTERMINAL_ENV=local\n"
		handEnv   = "\ufeffexport API_KEY_OF_MINE=\"0123456789abcdef0123\"\r\nDISCORD_BOT_TOKEN = 'x.y.z' # the bot\r\n\r\nSLACK_BOT_TOKEN=xoxb-1-$(hostname)\r\nNOTE=\"two\r\nlines\"\r\n"
		copiedEnv = "TELEGRAM_BOT_TOKEN=${TG}\nTG=1:a\nMATRIX_HOMESERVER=https://m.example\nMATRIX_USER_ID=@bot:m.example\nMATRIX_PASSWORD=pa#ss word\nEMAIL_ADDRESS=a@b.example\nEMAIL_PASSWORD=x\nWHATSAPP_ENABLED=True\nSIGNAL_HTTP_URL=\n"
	)
	clean := `{"phase":"exited","pid":41,"started_at":"2026-11-21T20:14:01.002003+00:00","exited_at":"2026-11-21T23:00:00.5+00:00","exit_code":0,"exit_reason":"planned_stop","prior_unclean_exit":false,"prior_suspected_oom":false}`
	lives := "{\n  \"phase\": \"running\",\n  \"pid\": 512,\n  \"started_at\": \"2026-11-21T20:14:01+00:00\",\n  \"prior_unclean_exit\": true,\n  \"prior_suspected_oom\": true\n}\n"
	for _, test := range []struct {
		name  string
		files map[string]string
		want  map[string]string // fact and keys
		on    string            // the platforms that a gateway would serve
	}{
		{"written by the setup program", map[string]string{"gateway_state.json": setupState, "state/gateway.lifecycle.json": clean, "config.yaml": setupYAML, ".env": setupEnv}, map[string]string{
			"prior_state/status": `"recorded"`, "prior_state/desired": `"running"`, "prior_state/gateway": `"running"`, "prior_state/updated_at_unix": "1795292043", "prior_state/unexpected": "absent", "prior_state/platforms/telegram/state": `"connected"`,
			"lifecycle/exit": `"clean"`, "lifecycle/exit_code": "0", "lifecycle/exited_at_unix": "1795302000", "lifecycle/prior_unclean": "false",
			"config/model": `"anthropic/claude-opus-4.6"`, "config/provider": `"auto"`, "tokens/status": `"recorded"`, "ports/ports": "[]",
		}, "telegram"},
		{"a gateway that could not start", map[string]string{"gateway_state.json": failedState, "state/gateway.lifecycle.json": lives}, map[string]string{
			"prior_state/gateway": `"startup_failed"`, "prior_state/platforms/api_server/error_code": `"api_server_port_in_use"`, "prior_state/platforms/api_server/needs_attention": "true", "prior_state/unexpected": "absent",
			"lifecycle/exit": `"unclean"`, "lifecycle/prior_unclean": "true", "lifecycle/prior_oom": "true",
		}, ""},
		{"by hand, on Windows", map[string]string{"config.yaml": strings.ReplaceAll(handYAML, "\n", "\r\n"), ".env": handEnv}, map[string]string{
			"config/status": `"recorded"`, "config/model": `"gpt-5-mini"`, "config/provider": `"custom"`, "ports/api_server_enabled": "true", "ports/ports": apiPort("8650", "config.yaml", "true"),
		}, "api_server discord slack"},
		{"copied from several examples", map[string]string{".env": copiedEnv}, map[string]string{"platforms/platforms/matrix/credentials": "true", "config/status": `"missing"`}, "matrix whatsapp"},
		{"the life cycle commands' state", map[string]string{"gateway_state.json": `{"desired_state": "stopped", "updated_at": 1795292043}` + "\n"}, map[string]string{"prior_state/desired": `"stopped"`, "prior_state/updated_at_unix": "1795292043"}, ""},
		{"seeded from a command", map[string]string{"gateway_state.json": `{"gateway_state":"running","desired_state":"running","updated_at":"2026-11-21T20:14:03+00:00","migrated_from":"legacy-container-cmd"}`},
			map[string]string{"prior_state/migrated_from": `"legacy-container-cmd"`}, ""},
		{"cut short by a full disk", map[string]string{"gateway_state.json": setupState[:200], "state/gateway.lifecycle.json": "", "config.yaml": "model:\n  default: \"anthropic", ".env": "TELEGRAM_BOT_TOKEN=100:AAx\nOPENROUTER_API_KEY=\"sk"}, map[string]string{
			"prior_state/status": `"invalid"`, "lifecycle/status": `"empty"`, "config/status": `"invalid"`, "tokens/status": `"recorded"`,
		}, "telegram"},
		{"zeros after a loss of power", map[string]string{"gateway_state.json": strings.Repeat("\x00", 512), ".env": strings.Repeat("\x00", 512)}, map[string]string{"prior_state/status": `"invalid"`, "tokens/status": `"invalid"`}, ""},
		{"all in one file", map[string]string{"config.yaml": "x-bot: &bot {enabled: true, require_mention: true}\nplatforms:\n  telegram: {<<: *bot, token: '1:a'}\n  slack: {<<: *bot, enabled: false, token: xoxb-1}\n"},
			map[string]string{"platforms/platforms/slack/on": "false"}, "telegram"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHome(t, map[string]string{"profiles/coder/": ""})
			for name, text := range test.files {
				hometest.Put(t, h.Path(), "profiles/coder/"+name, text)
			}
			facts := map[string]any{}
			for _, s := range Builtin(configFor(t, h)).Profile {
				facts[s.Name()] = collectedFor(t, s, h, "coder")
			}
			facttest.Want(t, facts, test.want)
			var on []string
			for name := range facts["platforms"].(map[string]any)["platforms"].(map[string]any) {
				if facttest.Get(facts, "platforms", "platforms", name, "on") == "true" {
					on = append(on, name)
				}
			}
			slices.Sort(on)
			if got := strings.Join(on, " "); got != test.on {
				t.Errorf("it would serve %q, want %q", got, test.on)
			}
		})
	}
}
