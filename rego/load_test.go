package rego

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"hermes-reconcile/policy"
)

// schema is a small input document: enough for the operator's rules below.
const schema = `{
  "type": "object",
  "properties": {
    "phase": {"type": "string"},
    "now": {"type": "object", "properties": {"unix_ns": {"type": "integer"}, "minute": {"type": "integer"}}},
    "container": {"type": "object", "properties": {
      "command": {"type": "object", "properties": {"role": {"type": "string"}, "profile": {"type": "string"}, "argv": {"type": "array", "items": {"type": "string"}}, "no_supervise": {"type": "boolean"}}},
      "host": {"type": "object", "properties": {"hostname": {"type": "string"}, "started_at_unix": {"type": "integer"}}},
      "owner_lease": {"type": "object", "properties": {"status": {"type": "string"}, "host": {"type": "string"}, "id": {"type": "string"}, "seen_at_unix": {"type": "integer"}, "ttl_seconds": {"type": "integer"}}},
      "own_lease": {"type": "object", "properties": {"id": {"type": "string"}, "held_unix": {"type": "integer"}, "lost_unix": {"type": "integer"}, "other_id": {"type": "string"}, "other_seen_at_unix": {"type": "integer"}, "changed_unix": {"type": "integer"}, "renewed": {"type": "boolean"}}},
      "multiplex": {"type": "object", "properties": {"on": {"type": "boolean"}, "status": {"type": "string"}, "error": {"type": "string"}, "source": {"type": "string"}, "warnings": {"type": "array", "items": {"type": "string"}}}},
      "environment": {"type": "object", "properties": {
        "warnings": {"type": "array", "items": {"type": "string"}},
        "vars": {"type": "object", "additionalProperties": {"type": "string"}},
        "flags": {"type": "object", "additionalProperties": {"type": "boolean"}}}},
      "external": {"type": "object"},
` + liveContainer + `}},
    "profiles": {"type": "object", "additionalProperties": {"type": "object", "properties": {
      "name": {"type": "object", "properties": {"valid": {"type": "boolean"}, "problem": {"type": "string"}}},
      "markers": {"type": "object", "properties": {"status": {"type": "string"}, "files": {"type": "object", "additionalProperties": {"type": "object", "properties": {"kind": {"type": "string"}}}}}},
      "prior_state": {"type": "object", "properties": {"status": {"type": "string"}, "desired": {"type": "string"}, "gateway": {"type": "string"}, "updated_at_unix": {"type": "integer"}}},
      "config": {"type": "object", "properties": {"changed_unix": {"type": "integer"}}},
` + holdSchema + `
      "runtime_files": {"type": "object", "properties": {"files": {"type": "object", "additionalProperties": {"type": "object", "properties": {"sweepable": {"type": "boolean"}, "scope": {"type": "string"}}}},
        "lock": {"type": "object", "properties": {"status": {"type": "string"}, "held": {"type": "boolean"}}}}}}}},
    "decisions": {"type": "object", "additionalProperties": {"type": "object", "properties": {"action": {"type": "string"}, "code": {"type": "string"}}}}
  }
}`

// liveContainer and holdSchema are facts about a running container, which built-in
// rules look at.
const (
	liveContainer = `
      "s6": {"type": "object", "properties": {"slots": {"type": "object", "additionalProperties": {"type": "object", "properties": {"up": {"type": "boolean"}, "wanted_up": {"type": "boolean"}, "exit_code": {"type": "integer"}, "since_unix": {"type": "integer"}}}}}},
      "overrides": {"type": "object", "properties": {"profiles": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "object",
        "properties": {"rule": {"type": "string"}, "code": {"type": "string"}, "until": {"type": "string"}, "at_unix": {"type": "integer"}, "active": {"type": "boolean"}}}}}}},
      "pauses": {"type": "object", "properties": {"profiles": {"type": "object", "additionalProperties": {"type": "object", "properties": {"until": {"type": "string"}, "reason": {"type": "string"}, "at_unix": {"type": "integer"}, "up": {"type": "boolean"}, "ended": {"type": "boolean"}, "text": {"type": "string"}}}}, "others": {"type": "object", "properties": {"until": {"type": "string"}, "reason": {"type": "string"}, "at_unix": {"type": "integer"}, "up": {"type": "boolean"}, "ended": {"type": "boolean"}, "text": {"type": "string"}}}}}`
	holdSchema = `
      "restart_hold": {"type": "object", "properties": {"status": {"type": "string"}, "ended": {"type": "string"}, "until_unix": {"type": "integer"}, "deaths": {"type": "integer"},
        "window_seconds": {"type": "number"}, "exit_code": {"type": "integer"}, "signal": {"type": "integer"}}},`
)

func operator(files map[string]string) []Layer {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return []Layer{BuiltIn(), {Name: "/etc/policy", Files: m}}
}

func load(files map[string]string) (*Evaluator, error) {
	return Load(operator(files), Options{Schema: []byte(schema)})
}

// What loading must refuse, and the words and place that the error must have.
func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	const pkg = "package reconcile.rules.site\n\n"
	const good = `hold contains {"profile": name, "reason": "no"} if some name, _ in input.profiles` + "\n"
	tests := []struct {
		why  string
		file string
		text string
		want []string
	}{
		{"a misspelt fact", "a.rego", pkg + `hold contains {"profile": name, "reason": "no"} if {
	some name, profile in input.profiles
	profile.prior_sate.desired == "running"
}`, []string{"/etc/policy/a.rego:5:", `"prior_sate"`, `did you mean "prior_state"?`}},
		{"a misspelt key of a fact, by a constant name", "a.rego", pkg + `hold contains {"profile": "coder", "reason": "no"} if input.profiles.coder.prior_state.desird == "running"`,
			[]string{"a.rego:3:", `did you mean "desired"?`}},
		{"a misspelt key below a map of free names", "a.rego", pkg + `hold contains {"profile": "coder", "reason": "no"} if input.profiles["coder"].runtime_files.files["gateway.pid"].sweepabel`,
			[]string{"a.rego:3:", `did you mean "sweepable"?`}},
		{"a fact compared with another type", "a.rego", pkg + `hold contains {"profile": "coder", "reason": "no"} if input.container.multiplex.on + 1 == 2`,
			[]string{"a.rego:3:", "invalid argument"}},
		{"no contains", "a.rego", pkg + `hold := {"profile": "coder", "reason": "no"}`,
			[]string{"/etc/policy/a.rego:3:1", "hold is a set", "hold contains"}},
		{"an object instead of a set", "a.rego", pkg + `start[name] := "yes" if some name, _ in input.profiles`,
			[]string{"a.rego:3:1", "start is a set"}},
		{"a map of sets", "a.rego", pkg + `start[name] contains "yes" if some name, _ in input.profiles`,
			[]string{"a.rego:3:1", "start is a set"}},
		{"no set at all", "a.rego", pkg + `holds contains {"profile": "coder", "reason": "no"} if true`,
			[]string{"a.rego:1:1", "contributes to no set", "hold"}},
		{"a foreign package", "a.rego", "package site\n\n" + good,
			[]string{"a.rego:1:1", "package site has no place here", "reconcile.rules.<name>"}},
		{"a package too deep", "a.rego", "package reconcile.rules.site.more\n\n" + good,
			[]string{"a.rego:1:1", "has no place here"}},
		{"a built-in package redefined", "a.rego", "package reconcile.rules.multiplex\n\n" + good,
			[]string{"a.rego:1:1", "already defined in multiplex.rego", "disabled_rules"}},
		{"the network", "a.rego", pkg + `hold contains {"profile": "coder", "reason": "no"} if http.send({"method": "get", "url": "http://localhost"}).status_code == 200`,
			[]string{"a.rego:3:", "http.send is not available to rules", "external fact"}},
		{"the clock", "a.rego", pkg + `hold contains {"profile": "coder", "reason": "no"} if time.now_ns() > 0`,
			[]string{"a.rego:3:", "input.now.unix_ns"}},
		{"the environment", "a.rego", pkg + `hold contains {"profile": "coder", "reason": "no"} if opa.runtime().env.HOME`,
			[]string{"a.rego:3:", "opa.runtime is not available"}},
		{"an unset setting", "a.rego", pkg + `hold contains {"profile": name, "reason": "no"} if {
	some name, _ in input.profiles
	not name in {n | some n in data.settings.allowed}
}`, []string{"a.rego:5:", `no setting "allowed"`, "data/settings.yaml"}},
		{"a misspelt setting", "a.rego", pkg + `hold contains {"profile": name, "reason": "no"} if {
	some name, _ in input.profiles
	"x" in data.settings.start_state
}`, []string{"a.rego:5:", `did you mean "start_states"?`}},
		{"text that is no Rego", "a.rego", pkg + "hold contains {", []string{"a.rego:3:", "unexpected"}},
		{"the syntax of old Rego", "a.rego", pkg + "hold[x] { x := 1 }", []string{"a.rego:3:1", "`if` keyword is required"}},
		{"an unsafe variable", "a.rego", pkg + `hold contains {"profile": name, "reason": "no"} if input.phase == "boot"`,
			[]string{"a.rego:3:", "var name is unsafe"}},
		{"an assigned variable that nobody uses", "a.rego", pkg + `hold contains {"profile": "coder", "reason": "no"} if x := 1`,
			[]string{"a.rego:3:", "x"}},
		{"recursion", "a.rego", pkg + good + "a if b\n\nb if a", []string{"a.rego:", "recursive"}},
		{"an empty file", "a.rego", "", []string{"a.rego", "empty"}},
		{"a settings file of another shape", "data/settings.yaml", "start_states: [running]\n",
			[]string{"/etc/policy/data/settings.yaml:1:1: want one key, settings"}},
		{"a setting of another type", "data/settings.yaml", "settings: {start_states: {running: 1}}\n",
			[]string{"/etc/policy/data/settings.yaml", "start_states is an object, want a list of strings"}},
		{"a misspelt key of the settings", "data/settings.yaml", "settings: {start_state: [running]}\n",
			[]string{`unknown setting "start_state", did you mean "start_states"?`}},
		{"a built-in rule switched off by a wrong name", "data/settings.yaml", "settings: {disabled_rules: [multiplexing]}\n",
			[]string{`no rule package "multiplexing"`, "reconcile.rules.multiplex"}},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			_, err := load(map[string]string{test.file: test.text})
			if err == nil {
				t.Fatalf("Load accepted\n%s", test.text)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not contain %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "__local") || strings.Contains(err.Error(), locatedPrefix) || strings.Contains(err.Error(), "reconcile.types") {
				t.Errorf("error %q shows what the compiler made of the text", err)
			}
		})
	}
}

// Two files of one package would merge without a word.
func TestLoadRefusesASecondFileOfAPackage(t *testing.T) {
	t.Parallel()
	rule := "package reconcile.rules.site\n\nhold contains {\"profile\": \"coder\", \"reason\": \"no\"} if input.phase == \"boot\"\n"
	_, err := load(map[string]string{"a.rego": rule, "b.rego": rule})
	if err == nil || !strings.Contains(err.Error(), "b.rego:1:1: package reconcile.rules.site is already defined in /etc/policy/a.rego") {
		t.Fatalf("got %v", err)
	}
}

// A rule may use facts by constant and variable names, through variables, and
// helpers of its own; none of it is mistaken for a misspelling.
func TestLoadAccepts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`hold contains {"profile": "coder", "reason": "x"} if input.profiles.coder.prior_state.desired == "running"`,
		`hold contains {"profile": "coder", "reason": "x"} if input.profiles["coder-2"].prior_state.desired == "running"`,
		`hold contains {"profile": "coder", "reason": "x"} if {
	all := input.profiles
	all.coder.prior_state.status == "missing"
}`,
		`hold contains {"profile": "coder", "reason": "x"} if object.get(input.profiles, "coder", {}) != {}`,
		`hold contains {"profile": name, "reason": "x"} if {
	some name in object.keys(input.profiles)
	input.profiles[name].runtime_files.files["gateway.pid"].sweepable
}`,
		`hold contains {"profile": name, "reason": "x"} if {
	some name, profile in input.profiles
	every file in profile.runtime_files.files { file.sweepable }
}`,
		`hold contains {"profile": "coder", "reason": "x"} if input.container.environment.vars.ANY_NAME == "1"`,
		`hold contains {"profile": "coder", "reason": "x"} if input.container.external.values.disk.full == true`,
		`hold contains {"profile": name, "reason": helper(name)} if some name, _ in input.profiles

helper(name) := sprintf("not %s", [name])`,
		`hold contains {"profile": "coder", "reason": "x"} if input.container.command.argv[0] == "x"`,
	} {
		if _, err := load(map[string]string{"a.rego": "package reconcile.rules.site\n\n" + text + "\n"}); err != nil {
			t.Errorf("Load refused\n%s\n%v", text, err)
		}
	}
}

// A mounted ConfigMap keeps its files behind a dotted link, editors leave copies,
// and tests stand beside the rules: none of them is a rule file.
func TestLoadLeavesOutWhatIsNoRule(t *testing.T) {
	t.Parallel()
	rule := "package reconcile.rules.site\n\nhold contains {\"profile\": \"coder\", \"reason\": \"no\"} if input.phase == \"boot\"\n"
	e, err := load(map[string]string{
		"site.rego":                       rule,
		"..data/site.rego":                rule,
		"..2026_11_22/site.rego":          rule,
		".site.rego.swp":                  "swap",
		"site.rego~":                      "old",
		"site_test.rego":                  "package reconcile.rules.site_test\n\ntest_x if false\n",
		"notes.yaml":                      "a: [",
		"README.md":                       "# hello",
		"data/settings.yaml":              "settings: {quiet: [coder]}\n",
		".git/hooks/reconcile.rules.rego": "nonsense",
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "built-in, /etc/policy"; e.Status().Source != want {
		t.Errorf("source %q, want %q", e.Status().Source, want)
	}
}

func TestRevisionFollowsTextAndSettings(t *testing.T) {
	t.Parallel()
	rule := "package reconcile.rules.site\n\nhold contains {\"profile\": \"coder\", \"reason\": \"%\"} if input.phase == \"boot\"\n"
	revisions := map[string]string{}
	for name, files := range map[string]map[string]string{
		"one":      {"a.rego": rule},
		"two":      {"a.rego": strings.ReplaceAll(rule, "%", "no")},
		"settings": {"a.rego": rule, "data/settings.yaml": "settings: {start_states: []}\n"},
	} {
		e, err := load(files)
		if err != nil {
			t.Fatal(err)
		}
		revision := e.Status().Revision
		if other, ok := revisions[revision]; ok {
			t.Errorf("%s and %s have the same revision %s", name, other, revision)
		}
		revisions[revision] = name
		if again, _ := load(files); again.Status().Revision != revision {
			t.Errorf("%s: the revision changed from one run to the next", name)
		}
	}
}

// A package with a mistake fails, and takes along exactly the packages that refer to it. A
// setting with a mistake has its default. All others count.
func TestLoadLeavesOutWhatCannotBeUsed(t *testing.T) {
	t.Parallel()
	hold := func(name, body string) string {
		return "package reconcile.rules." + name + "\n\nhold contains {\"profile\": \"coder\", \"reason\": \"" + name + "\"} if " + body + "\n"
	}
	good, parse := hold("good", `input.phase == "boot"`), "package reconcile.rules.bad\n\nhold contains {"
	lib := func(body string) map[string]string {
		return map[string]string{
			"lib.rego": "package reconcile.lib.x\n\n" + body + "\n", "good.rego": good,
			"uses.rego": hold("uses", "data.reconcile.lib.x.list[0]"), "import.rego": "package reconcile.rules.imports\n\nimport data.reconcile.lib.x as y\n\nhold contains {\"profile\": \"coder\", \"reason\": \"i\"} if y.list[0]\n",
			"any.rego": hold("any", "data.reconcile.lib[_].list[0]"), "second.rego": hold("second", "data.reconcile.rules.uses.hold"),
		}
	}
	const fact = "profiles.coder.prior_sate"
	for _, test := range []struct {
		why    string
		files  map[string]string
		failed []string
		holds  []string
		place  string
	}{
		{"a fact", map[string]string{"bad.rego": hold("bad", "input."+fact), "good.rego": good}, []string{"reconcile.rules.bad"}, []string{"good"}, "/etc/policy/bad.rego:3:"},
		{"the text", map[string]string{"bad.rego": parse, "good.rego": good}, []string{"reconcile.rules.bad"}, []string{"good"}, "/etc/policy/bad.rego:3:"},
		{"an empty file", map[string]string{"bad.rego": "", "good.rego": good}, []string{"/etc/policy/bad.rego"}, []string{"good"}, "/etc/policy/bad.rego"},
		{"two files", map[string]string{"bad.rego": parse, "more.rego": hold("more", "input."+fact), "good.rego": good}, []string{"reconcile.rules.bad", "reconcile.rules.more"}, []string{"good"}, ""},
		{"mistakes that one hides from another", map[string]string{"bad.rego": hold("bad", "x := 1"), "more.rego": hold("more", "input."+fact), "good.rego": good}, []string{"reconcile.rules.bad", "reconcile.rules.more"}, []string{"good"}, ""},
		{"a built-in package again", map[string]string{"bad.rego": hold("multiplex", "true"), "good.rego": good}, []string{"/etc/policy/bad.rego"}, []string{"good"}, "/etc/policy/bad.rego:1:1"},
		{"a second file of a package", map[string]string{"good.rego": good, "more.rego": good}, []string{"/etc/policy/more.rego"}, []string{"good"}, ""},
		{"no setting", map[string]string{"bad.rego": hold("bad", "data.settings.allowed"), "good.rego": good}, []string{"reconcile.rules.bad"}, []string{"good"}, ""},
		{"a library that does not parse", lib("list := ["), []string{"reconcile.lib.x", "reconcile.rules.any", "reconcile.rules.imports", "reconcile.rules.second", "reconcile.rules.uses"}, []string{"good"}, ""},
		{"a library with a wrong fact", lib("list := [1 | input." + fact + "]"), []string{"reconcile.lib.x", "reconcile.rules.any", "reconcile.rules.imports", "reconcile.rules.second", "reconcile.rules.uses"}, []string{"good"}, ""},
		{"a misspelt setting", map[string]string{"data/settings.yaml": "settings: {start_state: [], mine: 1}\n", "good.rego": hold("good", "data.settings.mine == 1")}, []string{"settings"}, []string{"good"}, "/etc/policy/data/settings.yaml:1:12"},
		{"a setting of another type", map[string]string{"data/settings.yaml": "settings:\n  mine: 1\n  start_states: {}\n", "good.rego": hold("good", "data.settings.mine == 1")}, []string{"settings"}, []string{"good"}, "/etc/policy/data/settings.yaml:3:17"},
		{"a package that is not there", map[string]string{"data/settings.yaml": "settings:\n  disabled_rules: [good2, gone]\n", "good.rego": good, "good2.rego": hold("good2", "true")}, []string{"settings"}, []string{"good"}, "/etc/policy/data/settings.yaml:2:27"},
	} {
		e, err := load(test.files)
		if e == nil || err == nil {
			t.Errorf("%s: %v, %v; want a policy and a mistake", test.why, e, err)
			continue
		}
		in := input(running)
		in.Phase = "boot"
		got := deciding(e.Evaluate(t.Context(), policy.StageRules, in))
		var failed, holds []string
		for _, f := range got.Failures {
			failed = append(failed, f.Rule)
			if !strings.HasPrefix(f.Location, "/etc/policy/") || !strings.HasPrefix(f.Location, test.place) || f.Setting != (f.Rule == "settings") || f.NotEnforced != strings.Contains(f.Rule, ".lib.") {
				t.Errorf("%s: %+v, want a place %s", test.why, f, test.place)
			}
		}
		for _, c := range got.Contributions {
			if c.Set == policy.SetHold {
				holds = append(holds, c.Reason)
			}
		}
		slices.Sort(failed)
		if failed = slices.Compact(failed); !slices.Equal(failed, test.failed) || !slices.Equal(holds, test.holds) || len(got.Contributions) != len(holds)+1 {
			t.Errorf("%s: failed %q, holds %q of %d contributions; want %q, %q and a start", test.why, failed, holds, len(got.Contributions), test.failed, test.holds)
		}
	}
}

// What cannot be read leaves no policy: what it says is not known.
func TestLoadWithoutAPolicy(t *testing.T) {
	t.Parallel()
	for why, text := range map[string]string{"a settings file that is no YAML": "settings: [", "of another shape": "start_states: []\n", "with a key twice": "settings: {mine: 1, mine: 2}\n"} {
		if e, err := load(map[string]string{"data/settings.yaml": text}); e != nil || err == nil {
			t.Errorf("%s: %v, %v; want an error alone", why, e, err)
		}
	}
}

// The order in METADATA decides which package sees the decisions of which, then the name.
func TestAfterPackagesHaveAnOrder(t *testing.T) {
	t.Parallel()
	after := func(name, order string) string {
		return "# METADATA\n# scope: package\n# custom: {" + order + "}\npackage reconcile.after." + name + "\n\nalarm contains {\"reason\": \"x\"} if input.decisions\n"
	}
	e, err := load(map[string]string{"a.rego": after("a", "order: 10"), "b.rego": after("b", "order: 1.5"), "c.rego": after("c", ""), "d.rego": after("d", ""), "e.rego": after("e", "order: -1")})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.ReplaceAll(strings.Join(e.Status().After, " "), "reconcile.after.", ""); got != "e c d b a" {
		t.Errorf("order %s, want e c d b a", got)
	}
	in := input(running)
	in.Decisions = map[string]policy.Verdict{}
	if got := e.Evaluate(t.Context(), "reconcile.after.b", in); len(got.Contributions) != 1 || got.Contributions[0].Rule != "reconcile.after.b" {
		t.Errorf("%+v, want those of one package", got)
	}
	if _, err := load(map[string]string{"a.rego": after("a", "order: last")}); err == nil || !strings.Contains(err.Error(), "/etc/policy/a.rego:1:1: custom.order is last with scope package, want a number") {
		t.Errorf("got %v", err)
	}
}
