package facts

import (
	"strings"
	"testing"

	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/hometest"
)

// The operator's keys become facts. A value that may be a secret is left out.
func TestConfigKeys(t *testing.T) {
	const key = "sk-proj-abcdEFGH1234ijklMNOP5678"
	text := func(value, source string) string { return `{"source":"` + source + `","text":"` + value + `"}` }
	left := func(why string) string { return `{"left_out":"` + why + `","source":"config.yaml"}` }
	for _, test := range []struct {
		name, config, env, managed string
		keys                       []string
		want                       map[string]string
	}{
		{name: "nothing", keys: []string{"model.provider"}, want: map[string]string{"status": `"missing"`, "values": "absent", "model": "absent", "provider": "absent"}},
		{name: "no keys are named", config: "model: {default: m, provider: p}", want: map[string]string{"values": "absent", "model": `"m"`, "provider": `"p"`}},
		{name: "the model as a text", config: "model: anthropic/claude-sonnet-4.5-20250929\nprovider: openrouter\n", want: map[string]string{"model": `"anthropic/claude-sonnet-4.5-20250929"`, "provider": `"openrouter"`}},
		{name: "the older key", config: "model: {model: m}", want: map[string]string{"model": `"m"`}},
		{name: "some", config: "model: {provider: openrouter}\ngateway: {host: 0.0.0.0, ports: [1, 2], standalone: yes, none: null, a: {b: c}}\n",
			keys: []string{"model.provider", "gateway.host", "gateway.ports", "gateway.standalone", "gateway.none", "gateway.a", "gateway.absent"},
			want: map[string]string{
				"values/model.provider": text("openrouter", "config.yaml"), "values/gateway.host": text("0.0.0.0", "config.yaml"), "values/gateway.standalone": text("yes", "config.yaml"),
				"values/gateway.ports": `{"list":["1","2"],"source":"config.yaml"}`, "values/gateway.a": left("mapping"), "values/gateway.none": "absent", "values/gateway.absent": "absent",
			}},
		{name: "an empty list is a list", config: "a: []", keys: []string{"a"}, want: map[string]string{"values/a": `{"list":[],"source":"config.yaml"}`}},
		{name: "the administrator's wins", config: "gateway: {host: a}", managed: "gateway: {host: b}", keys: []string{"gateway.host"}, want: map[string]string{"values/gateway.host": text("b", "managed")}},
		{name: "a merge key", config: "base: &b {provider: p}\nmodel: {<<: *b, default: m}\n", keys: []string{"model.provider"}, want: map[string]string{"values/model.provider": text("p", "config.yaml"), "provider": `"p"`}},
		{name: "a variable", config: "model: {provider: '${PROVIDER}'}", env: "PROVIDER=nous", keys: []string{"model.provider"}, want: map[string]string{"values/model.provider": text("nous", "config.yaml")}},
		{name: "a variable with the name of a secret", config: "model: {provider: '${MY_PASSWORD}'}", env: "MY_PASSWORD=pw", keys: []string{"model.provider"}, want: map[string]string{"values/model.provider": left("secret"), "provider": "absent"}},
		{name: "a variable whose value is one", config: "a: '${NOTE}'", env: "NOTE=" + key, keys: []string{"a"}, want: map[string]string{"values/a": left("secret")}},
		{name: "one in a list", config: "a: [x, " + key + "]", keys: []string{"a"}, want: map[string]string{"values/a": left("secret")}},
		{name: "one in a URL", config: "a: https://user:pw@host/", keys: []string{"a"}, want: map[string]string{"values/a": left("secret")}},
		{name: "a model that is one", config: "model: " + key, want: map[string]string{"model": "absent"}},
		{name: "a long value", config: "a: " + strings.Repeat("x ", 200) + "y", keys: []string{"a"}, want: map[string]string{"values/a": text(strings.Repeat("x ", 128)+"…", "config.yaml")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{"profiles/coder/": "", "profiles/coder/.env": test.env}
			if test.config != "" {
				files["profiles/coder/config.yaml"] = test.config
			}
			h := newHome(t, files)
			c := configFor(t, h)
			c.ConfigKeys = test.keys
			hometest.Put(t, c.ManagedDir, "config.yaml", test.managed)
			facttest.Want(t, collectedFor(t, profileSource(t, c.withDefaults(), "config"), h, "coder"), test.want)
		})
	}
}

func TestLooksSecret(t *testing.T) {
	for _, text := range []string{
		"sk-ant-api03-aaaaaaaaaaaaaaaaaaaa", "sk-or-v1-0123456789abcdef0123456789abcdef", "xoxb-123456789012-abcdefghijkl", "xapp-1-A0123456-7890123", "ghp_abcdefghijklmnop1234",
		"github_pat_11ABCDEFG0abcdefghij", "AKIAIOSFODNN7EXAMPLE", "AIzaSyA-abcdefghijkl", "eyJhbGciOiJIUzI1NiJ9.e30.x", "123456789:AAabcdefghijklmnopqrstuvwx",
		"-----BEGIN OPENSSH PRIVATE KEY-----", "postgres://u:p@host/db", "d41d8cd98f00b204e9800998ecf8427e", "Token aB3dE6gH9jK2mN5pQ8sT1 for you",
	} {
		if !looksSecret(text) {
			t.Errorf("%q is shown", text)
		}
	}
	for _, text := range []string{
		"", "anthropic/claude-opus-4-1-20250805", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8", "https://api.example.org/v1", "0.0.0.0:8642",
		"openrouter", "accounts/fireworks/models/deepseek-v3p1", "2026-11-22T06:00:11Z", "1300000000000000001", "Europe/Berlin", "/opt/data/workspace", "skill-maker-with-a-long-name",
	} {
		if looksSecret(text) {
			t.Errorf("%q is left out", text)
		}
	}
}
