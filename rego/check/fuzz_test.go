package check

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"hermes-reconcile/rego"
)

// Whatever an author typed, Check says something and goes on; and what it finds no
// error in can be loaded.
func FuzzCheck(f *testing.F) {
	rules, err := rego.ReadRules([]rego.Layer{rego.BuiltIn()}, nil)
	if err != nil {
		f.Fatal(err)
	}
	// Memory and time are the evaluator's limits, not those of the check.
	greedy := func(rule string) bool { return strings.Contains(rule, "range") || strings.Count(rule, "[") > 40 }
	for _, s := range rules.Sources {
		if !greedy(string(s.Text)) {
			f.Add(strings.Replace(string(s.Text), "package reconcile.rules.", "package reconcile.rules.my_", 1), "settings: {}\n")
		}
	}
	for _, body := range []string{
		"count()", "assign(x)", "x := 1", "not 1 in count", "some x", "some x in", "every x in input.profiles { x }",
		"internal.member_2(1)", "input.profiles[_][_][_] == \"x\"", "sprintf(\"%\", [1])", "sprintf(1)", "to_number()",
		"[x | some x in input]", "not input[input]", "input.profiles[input.phase].name.valid", "data.settings[input.phase]", "f(x, y)",
		"with input as 1", "walk(input, [p, v])", "{k: v | some k, v in input.container} == {}", "print(input)", "1 with input.profiles as {}",
	} {
		f.Add(sitePackage+"hold contains {\"profile\": \"x\", \"reason\": \"no\"} if {\n\t"+body+"\n}\n", "settings: {a: [1]}\n")
	}
	f.Add(sitePackage+"hold contains x\n\nhold.x contains 1\n\na.b.c := 1\n\nhold[x][y] := 1\n\nf(hold) := 1\n\ndefault hold := 1\n", "a: &a [*a]\n")
	few := fewRules(f)
	f.Fuzz(func(t *testing.T, rule, settings string) {
		if greedy(rule) {
			t.Skip("it may take more memory and time than a check has")
		}
		layers := []rego.Layer{few, {Name: "site", Files: fs.FS(fstest.MapFS{
			"a.rego":             {Data: []byte(rule)},
			"a_test.rego":        {Data: []byte(strings.Replace(rule, "package reconcile.rules.site", "package reconcile.rules.site_test", 1))},
			"data/settings.yaml": {Data: []byte(settings)},
		})}}
		o := rego.Options{Schema: []byte(checkSchema), Timeout: 50 * time.Millisecond}
		report := Check(t.Context(), layers, Options{Options: o})
		_, err := rego.Load(layers, o)
		if report.Errors() == 0 && err != nil {
			t.Errorf("no finding, and Load says %v\n%s", err, rule)
		}
		for _, f := range report.Findings {
			if f.File == "" || f.Code == "" || f.Message == "" {
				t.Errorf("a finding without its place or words: %+v", f)
			}
		}
	})
}
