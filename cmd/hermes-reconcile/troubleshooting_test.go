package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"
)

// notTheSameTwice matches text that differs between two runs, or between the script and the
// container, and gives the text that a page shows instead.
var notTheSameTwice = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`revision [0-9a-f]+`), "revision 6c1f0a2b9d3e"},
	{regexp.MustCompile(`2[0-9]{3}-[0-9-]+T[0-9:]+Z( started| registered)`), "2026-11-22T06:00:11Z$1"},
	{regexp.MustCompile(`it was started at 2[0-9]{3}-[0-9-]+T[0-9:]+Z`), "it was started at 2026-11-22T06:00:11Z"},
	{regexp.MustCompile(`built-in, policy`), "built-in, /etc/hermes-reconcile/policy"},
	{regexp.MustCompile(`([ (])policy/`), "${1}/etc/hermes-reconcile/policy/"},
}

// shown checks that a page shows the output of the last command.
func shown(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: shown file")
	}
	got := ts.ReadFile("stdout")
	for _, n := range notTheSameTwice {
		got = n.pattern.ReplaceAllString(got, n.instead)
	}
	if want := ts.ReadFile(args[0]); got != want {
		ts.Fatalf("the output is\n%s\nand %s has\n%s", got, args[0], want)
	}
}

// docs/troubleshooting.md shows only outputs that a script produced.
func TestTroubleshooting(t *testing.T) {
	script, err := txtar.ParseFile("../../fixtures/explain-troubleshooting.txtar")
	if err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{}
	for _, f := range script.Files {
		if name, ok := strings.CutPrefix(f.Name, "want."); ok {
			outputs[string(f.Data)] = name
		}
	}
	page := readDoc(t, "docs/troubleshooting.md")
	for _, block := range regexp.MustCompile("(?s)```console\n\\$ (.*?)\n(.*?)```").FindAllStringSubmatch(page, -1) {
		if _, seen := outputs[block[2]]; !seen {
			t.Errorf("docs/troubleshooting.md shows for %q an output that no script produced:\n%s", block[1], block[2])
		}
		delete(outputs, block[2])
	}
	for _, name := range outputs {
		t.Errorf("docs/troubleshooting.md does not show want.%s", name)
	}
}
