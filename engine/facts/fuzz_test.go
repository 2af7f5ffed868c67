package facts

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// addTexts adds the short texts as seeds, because minimising a long one takes minutes.
func addTexts(f *testing.F) {
	for _, text := range texts {
		if len(text) <= 1024 {
			f.Add([]byte(text))
		}
	}
}

// FuzzFacts gives any text to every parser: no parser panics, every value fits its schema,
// and no error quotes the text.
func FuzzFacts(f *testing.F) {
	addTexts(f)
	f.Add([]byte(`export A_TOKEN="x\n" # c` + "\nB='multi\nline'\nC=d # e"))
	f.Add([]byte("platforms:\n  telegram: {token: x, extra: {app_key: y}}\n  api_server: {enabled: true, extra: {port: 1}}\n"))
	f.Add([]byte(`{"since_unix":1,"until_unix":2,"deaths":5,"window_seconds":600,"exit_code":256,"signal":9,"files":{".env":"a"}}`))
	f.Add([]byte(`[{"profile":"coder","rule":"r","code":"c","until":"2026-11-24T02:00:00Z","at_unix":1,"container_start":"b1/7"}]`))
	sources := map[string]string{
		"prior_state": priorStateSchema(), "lifecycle": lifecycleSchema(), "starts": startsSchema(), "unclean_exits": uncleanExitsSchema(),
		"tokens": tokensSchema(), "ports": portsSchema(), "multiplex": multiplexSchema(), "command": commandSchema(), "environment": environmentSchema(),
		"restart_hold": restartHoldSchema(), "overrides": overridesSchema(),
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		env, config := parseDotenv(data), parseConfig(data)
		tokens := tokensFact{outcome: env.outcome, ConfigStatus: config.Status, Tokens: []token{}}
		tokens.addDotenv(env)
		tokens.addConfig(config)
		out, times := parseStarts(data)
		chained, chain := chainedBoots(parseObject(data))
		keys, held := parseObject(data)
		argv := strings.Split(string(data), "\x00")
		for name, value := range map[string]any{
			"prior_state":   describePriorState(parseObject(data)),
			"lifecycle":     describeLifecycle(parseObject(data)),
			"starts":        startsFact{outcome: out, TimesUnix: times, ChainedBoots: chained, ChainStatus: chain},
			"unclean_exits": parseUncleanExits(data),
			"tokens":        tokens,
			"ports":         describePorts("coder", env, config),
			"multiplex":     describeMultiplex(string(data), config),
			"command":       describeCommand(launched(argv), "pid1"),
			"environment":   describeEnvironment(variables{values: env.values, source: "process"}),
			"restart_hold":  describeRestartHold(keys, held, now.Unix(), func(string) (string, bool) { return "", true }),
			"overrides":     parseOverrides(data, now, "b1/7"),
		} {
			checked(t, name, sources[name], value, nil)
		}
		parsePID(data)
		parseMount(string(data))
		_, _, _ = countJobs(data, outcome{})
		parseAnswer(data)
		yamlToJSON(data)
	})
}

// FuzzJSONObject compares with encoding/json: an accepted text has the same keys and
// values.
func FuzzJSONObject(f *testing.F) {
	addTexts(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, out := parseObject(data)
		if out.Status != "recorded" {
			return
		}
		var want map[string]any
		decoder := json.NewDecoder(bytes.NewReader(withoutBOM(data)))
		decoder.UseNumber()
		if err := decoder.Decode(&want); err != nil || !utf8.Valid(data) {
			t.Fatalf("accepted %q, which is %v", data, err)
		}
		for key, value := range want {
			s, isText := value.(string)
			if got := keys.text(key, 1<<20); isText != (got != nil) || (isText && *got != s && utf8.ValidString(s)) {
				t.Errorf("%q is %v, want %q", key, got, s)
			}
		}
	})
}
