package scripts

import (
	"maps"
	"strings"
	"testing"
)

// What is shown of a run script has the variables of the rules and no secret, whatever the
// values are.
func TestShown(t *testing.T) {
	t.Parallel()
	r, err := New(Settings{Home: "/opt/data", Command: []string{"hermes"}, Args: []string{"gateway", "run"}}, "/run/my service", "hermes")
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"TZ": "Europe/Berlin", "ODD": `it's "$odd" \ 'B=c'`, "QUOTED": " 'FAKE=1' -c ", "BOT_TOKEN": "s3cret", "GONE": "s3cret too", "EMPTY": "",
	}
	run, err := r.run("coder", env, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := Environment(run)
	for name := range env {
		if _, ok := found[name]; !ok {
			t.Errorf("%s is not found in %v", name, found)
		}
	}
	if len(found) != len(env) {
		t.Errorf("found are %v", found)
	}
	rules := maps.Clone(env)
	delete(rules, "GONE")
	text := string(Shown(append([]byte("API_KEY='s3cret'\n"), run...), rules))
	if strings.Contains(text, "s3cret") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	for _, words := range []string{" \\\n\t'TZ=Europe/Berlin' \\\n", " \\\n\tBOT_TOKEN=<redacted>", " \\\n\tGONE=<redacted>", "API_KEY=<redacted>\n", " -p coder gateway run 2>&1\n"} {
		if !strings.Contains(text, words) {
			t.Errorf("no %q in\n%s", words, text)
		}
	}
	for _, other := range []string{"#!/bin/sh\nexport TOKEN=s3cret\nexec hermes gateway run\n", "", "HERMES_S6_SLOT=\n"} {
		if text := string(Shown([]byte(other), rules)); text != "# a script of another program\n" || len(Environment([]byte(other))) > 0 {
			t.Errorf("of %q is shown %q", other, text)
		}
	}
}
