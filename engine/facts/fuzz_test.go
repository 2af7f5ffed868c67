package facts

import (
	"testing"

	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/facts/read"
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
	f.Fuzz(func(t *testing.T, data []byte) {
		env, config := read.ParseDotenv(data), read.ParseConfig(data)
		own := setup{env, config, &inherited{env: env, config: config, environ: env.Values}}
		out, times := parseStarts(data)
		chained, chain := chainedBoots(read.ParseObject(data))
		keys, held := read.ParseObject(data)
		for name, value := range map[string]any{
			"prior_state":   describePriorState(read.ParseObject(data)),
			"lifecycle":     describeLifecycle(read.ParseObject(data)),
			"starts":        startsFact{Outcome: out, TimesUnix: times, ChainedBoots: chained, ChainStatus: chain},
			"unclean_exits": parseUncleanExits(data),
			"tokens":        tokens(own),
			"ports":         ports("coder", own),
			"platforms":     platforms(own),
			"restart_hold":  describeRestartHold(keys, held, now.Unix(), func(string) (string, bool) { return "", true }),
		} {
			facttest.Check(t, facttest.Profile, name, value)
		}
		facttest.Check(t, facttest.Container, "multiplex", multiplex(own))
		parsePID(data)
		_, _, _ = countJobs(data, read.Outcome{})
	})
}
