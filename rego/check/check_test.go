package check

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/example"
)

// checkSchema is an input document with what the mistakes below are about.
const checkSchema = `{
  "type": "object",
  "properties": {
    "phase": {"type": "string", "enum": ["boot", "apply"]},
    "now": {"type": "object", "properties": {"unix_ns": {"type": "integer"}, "minute": {"type": "integer"}, "weekday": {"type": "string", "enum": ["Saturday", "Sunday"]}}},
    "container": {"type": "object", "additionalProperties": false, "properties": {
      "command": {"type": "object", "properties": {"status": {"type": "string", "enum": ["recorded", "failed"]}, "role": {"type": "string", "enum": ["gateway run", "dashboard", "none"]}, "argv": {"type": "array", "items": {"type": "string"}}, "no_supervise": {"type": "boolean"}}},
      "multiplex": {"type": "object", "properties": {"status": {"type": "string"}, "on": {"type": "boolean"}, "source": {"type": "string"}, "allowlist": {"type": "array", "items": {"type": "string"}}}},
      "environment": {"type": "object", "properties": {"status": {"type": "string"},
        "vars": {"type": "object", "propertyNames": {"pattern": "^(HERMES_HOME|LIMIT|ANY_NAME|HERMES_RECONCILE_.*)$"}, "additionalProperties": {"type": "string"}},
        "flags": {"type": "object", "additionalProperties": {"type": "boolean"}}}},
      "external": {"type": "object", "properties": {"values": {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": {}}}}},
` + liveContainer + `}},
    "profiles": {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": false, "properties": {
      "name": {"type": "object", "properties": {"valid": {"type": "boolean"}, "problem": {"type": "string"}}},
      "markers": {"type": "object", "properties": {"status": {"type": "string"}, "files": {"type": "object", "additionalProperties": {"type": "object", "properties": {"kind": {"type": "string"}}}}}},
      "prior_state": {"type": "object", "properties": {"status": {"type": "string", "enum": ["missing", "invalid", "recorded"]}, "desired": {"type": "string"}, "gateway": {"type": "string"}}},
      "tokens": {"type": "object", "properties": {"status": {"type": "string"}, "tokens": {"type": "array", "items": {"type": "object", "properties": {"fingerprint": {"type": "string"}}}}}},
      "lifecycle": {"type": "object", "x-written-by": "agent", "properties": {"status": {"type": "string"}, "reason": {"type": "string", "x-written-by": "agent"}, "exit": {"type": "string", "enum": ["clean", "unclean", "unknown"]}}},
      "starts": {"type": "object", "properties": {"status": {"type": "string"}, "count": {"type": "integer"}}},
` + holdSchema + `
      "runtime_files": {"type": "object", "properties": {"status": {"type": "string"}, "files": {"type": "object", "additionalProperties": {"type": "object", "properties": {"sweepable": {"type": "boolean"}, "scope": {"type": "string"}}}}}}
    }}},
    "decisions": {"type": "object", "additionalProperties": {"type": "object", "properties": {"action": {"type": "string", "enum": ["start", "down", "skip"]}, "code": {"type": "string"}}}}
  }
}`

// liveContainer and holdSchema are facts about a running container, which built-in
// rules look at.
const (
	liveContainer = `
      "s6": {"type": "object", "properties": {"slots": {"type": "object", "additionalProperties": {"type": "object", "properties": {"up": {"type": "boolean"}, "wanted_up": {"type": "boolean"}}}}}},
      "overrides": {"type": "object", "properties": {"profiles": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "object",
        "properties": {"rule": {"type": "string"}, "code": {"type": "string"}, "until": {"type": "string"}, "at_unix": {"type": "integer"}, "active": {"type": "boolean"}}}}}}},
      "pauses": {"type": "object", "properties": {"profiles": {"type": "object", "additionalProperties": {"type": "object", "properties": {"until": {"type": "string"}, "reason": {"type": "string"}, "at_unix": {"type": "integer"}, "up": {"type": "boolean"}, "ended": {"type": "boolean"}, "text": {"type": "string"}}}}, "others": {"type": "object", "properties": {"until": {"type": "string"}, "reason": {"type": "string"}, "at_unix": {"type": "integer"}, "up": {"type": "boolean"}, "ended": {"type": "boolean"}, "text": {"type": "string"}}}}}`
	holdSchema = `
      "restart_hold": {"type": "object", "properties": {"status": {"type": "string"}, "ended": {"type": "string"}, "until_unix": {"type": "integer"}, "deaths": {"type": "integer"},
        "window_seconds": {"type": "number"}, "exit_code": {"type": "integer"}, "signal": {"type": "integer"}}},`
)

const (
	sitePackage = "package reconcile.rules.site\n\n"
	goodRule    = sitePackage + "hold contains {\"profile\": \"coder\", \"reason\": \"no\"} if input.phase == \"apply\"\n"
	// each opens a rule in row 3 whose body follows.
	holdEach = sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, profile in input.profiles\n"
	holdOne  = sitePackage + "hold contains {\"profile\": \"coder\", \"reason\": \"no\"} if {\n"
)

func check(t *testing.T, files map[string]string, settings map[string]any) Report {
	t.Helper()
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	layers := []rego.Layer{fewRules(t), {Name: "site", Files: m}}
	return Check(t.Context(), layers, Options{Options: rego.Options{Schema: []byte(checkSchema), Settings: settings, Timeout: 300 * time.Millisecond}})
}

// fewRules are the built-in settings, and those built-in rules that the mistakes below are
// about: the table compiles and evaluates them for each row.
func fewRules(t testing.TB) rego.Layer {
	t.Helper()
	few := fstest.MapFS{}
	for _, name := range []string{"settings.yaml", "prior_intent.rego", "multiplex.rego"} {
		text, err := fs.ReadFile(rego.BuiltIn().Files, name)
		if err != nil {
			t.Fatal(err)
		}
		few[name] = &fstest.MapFile{Data: text}
	}
	return rego.Layer{Files: few}
}

// Typical mistakes, each with the place and the code of its finding, and words
// that help.
func TestCheckFindsTypicalMistakes(t *testing.T) {
	t.Parallel()
	pinned := map[string]bool{
		// Those that need another machine, or have tests of their own.
		"directory_unreadable": true, "file_unreadable": true, "untrusted": true, "too_much_memory": true, "unknown_profile": true,
		// What OPA may say one day that none of ours says better.
		"rego_compile_error": true, "rule_failed": true,
	}
	mistakes := []struct {
		name  string
		files map[string]string
		at    string // file:row
		code  string
		words string
	}{
		{"a misspelt fact", site(holdEach + "\tprofile.prior_sate.desired == \"running\"\n}\n"), "site/a.rego:5", "unknown_fact", `did you mean "prior_state"`},
		{"a misspelt key of a fact", site(holdEach + "\tprofile.prior_state.desird == \"running\"\n}\n"), "site/a.rego:5", "unknown_fact", `did you mean "desired"`},
		{"a fact of the container looked for in a profile", site(holdEach + "\tprofile.multiplex.on\n}\n"), "site/a.rego:5", "unknown_fact", "multiplex"},
		{"a misspelt set", site(sitePackage + "holds contains {\"profile\": \"coder\", \"reason\": \"no\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "misspelt_set", `did you mean "hold"`},
		{"a misspelt set with a capital", site(sitePackage + "Starts contains {\"profile\": \"coder\", \"reason\": \"no\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "misspelt_set", `did you mean "start"`},
		{"a misspelt set beside a good one", site(goodRule + "\nholld contains {\"profile\": \"x\", \"reason\": \"no\"} if input.phase == \"boot\"\n"), "site/a.rego:5", "misspelt_set", `did you mean "hold"`},
		{"no contains", site(sitePackage + "hold := {\"profile\": \"coder\", \"reason\": \"no\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "set_expected", "hold contains"},
		{"an object in place of a set", site(sitePackage + "start[name] := \"yes\" if some name, _ in input.profiles\n"), "site/a.rego:3", "set_expected", "start is a set"},
		{"a default for a set", site(goodRule + "\ndefault start := false\n"), "site/a.rego:5", "set_default", "start is a set"},
		{"a default that is the empty set", site(sitePackage + "default hold := set()\n\nhold contains {\"profile\": \"coder\", \"reason\": \"no\"} if input.phase == \"apply\"\n"), "site/a.rego:3", "set_default", "has no default"},
		{"a test with the name of a rule", map[string]string{"a.rego": goodRule, "test_a.rego": "package reconcile.rules.site_test\n\ntest_a if data.reconcile.rules.site.hold == set() with input as {}\n"}, "site/test_a.rego:1", "test_file_name", "site_test"},
		{"a name looked for in a set", site(holdEach + "\tdata.reconcile.rules.prior_intent.start[name]\n\tprofile.prior_state\n}\n"), "site/a.rego:5", "set_member", "name is never a member of"},
		{"a key that a rule does not have", site(sitePackage + "_limits := {\"soft\": 3}\n\nhold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, _ in input.profiles\n\t_limits.hard > 2\n}\n"), "site/a.rego:7", "unknown_key", "soft"},
		{"functions that differ", site(goodRule + "\n_f(x) := x\n\n_f(x, y) := x + y\n"), "site/a.rego:5", "rule_conflict", "_f"},
		{"a variable twice", site(holdEach + "\tlimit := profile.starts.count\n\tlimit := 3\n}\n"), "site/a.rego:6", "assigned_twice", "limit"},
		{"a rule misspelt below an import, first use", site(sitePackage + "import data.reconcile.rules.prior_intent\n\nhold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, _ in input.profiles\n\tprior_intent.startt\n}\n\nalarm contains {\"reason\": \"no\"} if count(prior_intent.start) > 3\n"), "site/a.rego:7", "undefined_rule", `"start"`},
		{"decisions by an import, first use", site(sitePackage + "import input.decisions\n\nhold contains {\"profile\": name, \"reason\": \"no\"} if some name, _ in decisions\n\nalarm contains {\"reason\": \"no\"} if count(decisions) > 3\n"), "site/a.rego:5", "decisions_too_early", "reconcile.rules"},
		{"a day that there is not", site(holdOne + "\tinput.now.weekday in {\"Sunday\", \"Sat\"}\n}\n"), "site/a.rego:4", "not_in_enum", "have: Saturday, Sunday"},
		{"an action that there is not", site("package reconcile.after.site\n\nalarm contains {\"reason\": name} if {\n\tsome name, d in input.decisions\n\td.action == \"hold\"\n}\n"), "site/a.rego:5", "not_in_enum", `is never "hold", have: start, down, skip`},
		{"unequal to what may be absent", site(holdEach + "\tprofile.prior_state.desired != \"running\"\n}\n"), "site/a.rego:5", "unequal_absence", "input.profiles[_].prior_state.desired may be absent"},
		{"not before a builtin with what may be absent", site(holdEach + "\tnot startswith(lower(profile.prior_state.desired), \"run\")\n}\n"), "site/a.rego:5", "negated_absence", "prior_state.desired may be absent"},
		{"not before a function with what may be absent", site(holdEach + "\tnot _on(profile.prior_state.desired)\n}\n\n_on(state) if state == \"running\"\n"), "site/a.rego:5", "negated_absence", "prior_state.desired may be absent"},
		{"not before in with what may be absent", site(holdEach + "\tnot profile.prior_state.desired in [\"running\"]\n}\n"), "site/a.rego:5", "negated_absence", "prior_state.desired may be absent"},
		{"glob.match the wrong way round", site(sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, _ in input.profiles\n\tglob.match(name, [], \"scratch-*\")\n}\n"), "site/a.rego:5", "glob_swapped", `"scratch-*" is the text here`},
		{"glob.match of a setting the wrong way round", map[string]string{"a.rego": sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, _ in input.profiles\n\tsome pattern in data.settings.quiet\n\tglob.match(name, [], pattern)\n}\n", "data/settings.yaml": "settings:\n  quiet: [a]\n"}, "site/a.rego:6", "glob_swapped", "pattern is the text here"},
		{"a variable that is never collected", site(holdOne + "\tinput.container.environment.vars.HERMES_HOM == \"x\"\n}\n"), "site/a.rego:4", "never_collected", `did you mean "HERMES_HOME"`},
		{"an end that is no time", site(sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\", \"until\": profile.lifecycle.reason} if some name, profile in input.profiles\n"), "site/a.rego:3", "unchecked_time", "lifecycle.reason"},
		{"a waive that the agent decides", site(sitePackage + "waive contains {\"profile\": name, \"rule\": \"reconcile.rules.multiplex\", \"reason\": \"no\"} if {\n\tsome name, profile in input.profiles\n\tprofile.lifecycle.reason == \"please\"\n}\n"), "site/a.rego:3", "rests_on_agent", "lifecycle.reason"},
		{"a delay that grows with the profiles", site(sitePackage + "delay contains {\"profile\": name, \"seconds\": 10 * count(input.profiles), \"reason\": \"x\"} if some name, _ in input.profiles\n"), "site/a.rego:3", "range_with_many", "with 500 profiles"},
		{"a verb that does not print a value of a helper", site(sitePackage + "hold contains {\"profile\": name, \"reason\": _why(name)} if some name, _ in input.profiles\n\n_why(name) := sprintf(\"%d\", [name])\n"), "site/a.rego:3", "sprintf_verb", "%!d(string="},
		{"a number and a setting that is text", map[string]string{"a.rego": holdEach + "\tlimit := data.settings.many\n\tprofile.starts.count == limit\n}\n", "data/settings.yaml": "settings:\n  many: \"3\"\n"}, "site/a.rego:6", "unlike_types", `starts.count has the type number, and setting many, which is "3", the type string`},
		{"a test that reads no input", map[string]string{"a.rego": goodRule, "a_test.rego": "package reconcile.rules.site_test\n\nimport data.reconcile.rules.site\n\ntest_a if site.hold == set() with input as {}\n\ntest_b if input.phase == \"boot\"\n"}, "site/a_test.rego:7", "test_without_input", "test_b"},
		{"a member without a reason", site(sitePackage + "hold contains {\"profile\": name} if some name, _ in input.profiles\n"), "site/a.rego:3", "member_no_reason", "reason"},
		{"a member without its profile", site(sitePackage + "hold contains {\"reason\": \"no\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "member_missing_key", "has no profile"},
		{"a misspelt key of a member", site(sitePackage + "hold contains {\"profil\": \"coder\", \"reason\": \"no\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "member_unknown_key", `did you mean "profile"`},
		{"a file that is not text", site("\x00\xff\xfe"), "site/a.rego:1", "rego_parse_error", ""},
		{"an empty file", site(""), "site/a.rego:1", "rego_parse_error", "begins with its package"},
		{"a fact in place of a text", site(sitePackage + "sweep contains {\"profile\": name, \"file\": file, \"reason\": \"no\"} if {\n\tsome name, profile in input.profiles\n\tsome file in profile.runtime_files.files\n}\n"), "site/a.rego:3", "member_type", "file is an object, want a string"},
		{"a key of another set", site(sitePackage + "start contains {\"profile\": \"coder\", \"reason\": \"no\", \"until\": \"2026-11-22T06:00:00Z\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "member_unknown_key", `no key "until"`},
		{"a member that is a name", site(sitePackage + "hold contains \"coder\" if input.phase == \"boot\"\n"), "site/a.rego:3", "member_not_object", "want an object"},
		{"a member built in the body", site(sitePackage + "hold contains member if {\n\tinput.phase == \"boot\"\n\tmember := {\"profile\": \"coder\"}\n}\n"), "site/a.rego:5", "member_no_reason", "reason"},
		{"a delay in words", site(sitePackage + "delay contains {\"profile\": \"coder\", \"seconds\": \"30\", \"reason\": \"later\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "member_type", "want a number"},
		{"a delay too long", site(sitePackage + "delay contains {\"profile\": \"coder\", \"seconds\": 86400, \"reason\": \"later\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "member_type", "0 to 3600"},
		{"a look at no time", site(sitePackage + "recheck contains {\"reason\": \"later\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "member_type", "want exactly one of at and after_seconds"},
		{"a look at two times", site(sitePackage + "recheck contains {\"at\": \"2026-11-22T06:00:00Z\", \"after_seconds\": 60, \"reason\": \"later\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "member_type", "want exactly one of at and after_seconds"},
		{"a look at a time in words", site(sitePackage + "recheck contains {\"at\": \"tomorrow\", \"reason\": \"later\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "member_type", "at \"tomorrow\" is not a time like"},
		{"a look too late", site(sitePackage + "recheck contains {\"after_seconds\": 1e9, \"reason\": \"later\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "member_type", "1 to 2678400"},
		{"a look with another key", site(sitePackage + "recheck contains {\"until\": \"2026-11-22T06:00:00Z\", \"reason\": \"later\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "member_unknown_key", "no key \"until\""},
		{"an ending that is none", site(sitePackage + "restart contains {\"profile\": \"coder\", \"exit_codes\": {\"SIGKIL\": \"never\"}, \"reason\": \"x\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "member_type", "exit code \"SIGKIL\" is not a number from 0 to 255, a signal such as \"SIGKILL\", \"oom\" or \"*\""},
		{"an empty reason", site(sitePackage + "hold contains {\"profile\": \"coder\", \"reason\": \" \"} if input.phase == \"boot\"\n"), "site/a.rego:3", "member_type", "reason is empty"},
		{"the value in place of the key", site(sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if some name in input.profiles\n"), "site/a.rego:3", "member_type", "write: some name, _ in input.profiles"},
		{"a waive of no rule", site(sitePackage + "waive contains {\"rule\": \"reconcile.rules.multiplexing\", \"profile\": \"coder\", \"reason\": \"alone\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "unknown_rule", `did you mean "reconcile.rules.multiplex"`},
		{"a foreign package", site(strings.Replace(goodRule, "reconcile.rules.site", "site", 1)), "site/a.rego:1", "package_place", "reconcile.rules.<name>"},
		{"a built-in package again", site(strings.Replace(goodRule, "rules.site", "rules.multiplex", 1)), "site/a.rego:1", "package_redefined", "disabled_rules"},
		{"one package in two files", map[string]string{"a.rego": goodRule, "b.rego": goodRule}, "site/b.rego:1", "package_redefined", "site/a.rego"},
		{"a package that says nothing", site(sitePackage + "_x := 1\n"), "site/a.rego:1", "contributes_nothing", "contributes to no set"},
		{"the network", site(holdOne + "\thttp.send({\"method\": \"get\", \"url\": \"http://localhost\"}).status_code == 200\n}\n"), "site/a.rego:4", "builtin_not_available", "external fact"},
		{"the clock", site(holdOne + "\ttime.now_ns() > 0\n}\n"), "site/a.rego:4", "builtin_not_available", "input.now"},
		{"a setting that nobody set", site(holdEach + "\tnot name in data.settings.allowed\n}\n"), "site/a.rego:5", "unknown_setting", "data/settings.yaml"},
		{"a setting that only a test reads", map[string]string{"a.rego": goodRule, "data/settings.yaml": "settings:\n  start_states: [running]\n  quiet: []\n"}, "site/data/settings.yaml:3", "setting_unused", "quiet"},
		{"bad YAML", map[string]string{"a.rego": goodRule, "data/settings.yaml": "settings:\n  quiet: [a]\n\tmore: 2\n"}, "site/data/settings.yaml:3", "settings_error", "indent with spaces"},
		{"settings without their key", map[string]string{"a.rego": goodRule, "data/settings.yaml": "start_states: [running]\n"}, "site/data/settings.yaml:1", "settings_error", "want one key, settings"},
		{"a setting of another type", map[string]string{"a.rego": goodRule, "data/settings.yaml": "settings:\n  start_states: {running: 1}\n"}, "site/data/settings.yaml:2", "settings_error", "a list of strings"},
		{"a misspelt setting in the file", map[string]string{"a.rego": goodRule, "data/settings.yaml": "settings:\n  start_state: [running]\n"}, "site/data/settings.yaml:2", "settings_error", `did you mean "start_states"`},
		{"a rule switched off by a wrong name", map[string]string{"a.rego": goodRule, "data/settings.yaml": "settings:\n  disabled_rules: [multiplexing]\n"}, "site/data/settings.yaml:2", "settings_error", "multiplexing"},
		{"settings in the wrong place", map[string]string{"a.rego": goodRule, "settings.yaml": "settings: {}\n"}, "site/settings.yaml:1", "ignored_file", "nothing reads"},
		{"a data file that nothing reads", map[string]string{"a.rego": goodRule, "data/owners.json": "{}"}, "site/data/owners.json:1", "ignored_file", "nothing reads"},
		{"a rule file with a wrong ending", map[string]string{"a.rego": goodRule, "b.rego.txt": goodRule}, "site/b.rego.txt:1", "ignored_file", "nothing reads"},
		{"text that is no Rego", site(sitePackage + "hold contains {\"profile\": } if input.phase == \"boot\"\n"), "site/a.rego:3", "rego_parse_error", "unexpected"},
		{"the syntax of old Rego", site(sitePackage + "hold[x] { x := 1 }\n"), "site/a.rego:3", "old_syntax", "if"},
		{"a variable that nothing binds", site(sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "rego_unsafe_var_error", "name"},
		{"a variable that nobody uses", site(holdOne + "\tx := 1\n}\n"), "site/a.rego:4", "unused_variable", "x"},
		{"an import that nobody uses", site(sitePackage + "import data.reconcile.lib.site\n\nhold contains {\"profile\": \"coder\", \"reason\": \"no\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "unused_import", "import"},
		{"a function that does not exist", site(holdOne + "\tglob.matches(\"a*\", [], \"ab\")\n}\n"), "site/a.rego:4", "undefined_function", `glob.matches, did you mean "glob.match"?`},
		{"a number compared with text", site(holdEach + "\tprofile.starts.count > 3\n\tconcat(\",\", profile.starts.count) == \"x\"\n}\n"), "site/a.rego:6", "rego_type_error", "invalid argument"},
		{"text compared with true", site(holdEach + "\tprofile.prior_state.desired == true\n}\n"), "site/a.rego:5", "rego_type_error", "never equal: string and boolean"},
		{"rules that need each other", site(goodRule + "\n_a if _b\n\n_b if _a\n"), "site/a.rego:5", "rego_recursion_error", "recursive"},
		{"a status that is never so", site(holdEach + "\tprofile.prior_state.status == \"recoreded\"\n}\n"), "site/a.rego:5", "not_in_enum", `did you mean "recorded"`},
		{"a role that is never so", site(holdOne + "\tinput.container.command.role in {\"dashboard\", \"gatway run\"}\n}\n"), "site/a.rego:4", "not_in_enum", `did you mean "gateway run"`},
		{"a word of a variable that is never so", site(holdEach + "\texit := profile.lifecycle.exit\n\texit != \"dirty\"\n}\n"), "site/a.rego:6", "not_in_enum", "clean, unclean, unknown"},
		{"an allow-list that may be absent", site(sitePackage + "_allowed := {name | some name in input.container.multiplex.allowlist}\n\nhold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, _ in input.profiles\n\tnot name in _allowed\n}\n"), "site/a.rego:3", "maybe_undefined", "input.container.multiplex.allowlist may be absent"},
		{"an absent list, negated on the spot", site(sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, _ in input.profiles\n\tnot name in {n | some n in input.container.external.values.owners.list}\n}\n"), "site/a.rego:5", "maybe_undefined", "may be absent"},
		{"an absent list without a comprehension", site(sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, _ in input.profiles\n\tnot name in input.container.multiplex.allowlist\n}\n"), "site/a.rego:5", "negated_absence", "the body ends here"},
		{"an allow-list from a variable that may be unset", site(sitePackage + "_allowed := {name | some name in split(input.container.environment.vars.HERMES_RECONCILE_PROFILES, \",\")}\n\nhold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, _ in input.profiles\n\tnot name in _allowed\n}\n"), "site/a.rego:3", "maybe_undefined", "HERMES_RECONCILE_PROFILES may be absent"},
		{"an absent list, taken away", site(sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name in object.keys(input.profiles) - {n | some n in input.container.multiplex.allowlist}\n}\n"), "site/a.rego:4", "maybe_undefined", "nothing is taken away"},
		{"a set of names built rule by rule, negated", site(sitePackage + "_listed contains name if some name in input.container.multiplex.allowlist\n\nhold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, _ in input.profiles\n\tnot name in _listed\n}\n"), "site/a.rego:3", "maybe_undefined", "holds for every profile"},
		{"a trial with a misspelt word", site("# METADATA\n# scope: package\n# custom:\n#   enforce: wran\n" + goodRule), "site/a.rego:1", "enforce_word", "warn"},
		{"a trial in the METADATA of a rule", site(sitePackage + "# METADATA\n# custom:\n#   enforce: warn\nhold contains {\"profile\": \"coder\", \"reason\": \"no\"} if input.phase == \"boot\"\n"), "site/a.rego:3", "enforce_place", "its scope is rule"},
		{"an import of no package", site(sitePackage + "import data.reconcile.rules.prior_intnt\n\nhold contains {\"profile\": name, \"reason\": \"no\"} if some name in prior_intnt.start\n"), "site/a.rego:3", "undefined_rule", `did you mean "reconcile.rules.prior_intent"`},
		{"a rule that the other package does not have", site(sitePackage + "hold contains {\"profile\": \"coder\", \"reason\": \"no\"} if not data.reconcile.rules.prior_intent.starts\n"), "site/a.rego:3", "undefined_rule", `did you mean "start"`},
		{"a misspelt set in a test", map[string]string{"a.rego": goodRule, "a_test.rego": "package reconcile.rules.site_test\n\nimport data.reconcile.rules.site\n\ntest_a if {\n\tnot site.holds\n}\n"}, "site/a_test.rego:6", "undefined_rule", `did you mean "hold"`},
		{"a misspelt fact in the example facts", map[string]string{"a.rego": goodRule, "a_test.rego": "package reconcile.rules.site_test\n\nimport data.reconcile.lib.example\nimport data.reconcile.rules.site\n\ntest_a if {\n\tcount(site.hold) == 0 with input as example.home({\"coder\": {\"prior_sate\": {}}})\n}\n"}, "site/a_test.rego:7", "test_unknown_fact", `did you mean "prior_state"`},
		{"a number ordered against text", site(holdEach + "\tprofile.starts.count > \"3\"\n}\n"), "site/a.rego:5", "unlike_types", "input.profiles[_].starts.count"},
		{"a name where a list is looked into", map[string]string{"a.rego": sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if some name in data.settings.quiet\n", "data/settings.yaml": "settings:\n  quiet: coder\n"}, "site/data/settings.yaml:2", "setting_not_a_list", `"coder"`},
		{"a key without a value where a list is looked into", map[string]string{"a.rego": sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, _ in input.profiles\n\tname in data.settings.quiet\n}\n", "data/settings.yaml": "settings:\n  quiet:\n"}, "site/data/settings.yaml:2", "setting_not_a_list", "is empty"},
		{"a value that a rule cannot use", map[string]string{"a.rego": sitePackage + "alarm contains {\"code\": \"bad_setting\", \"reason\": \"settings.mode is odd\"} if data.settings.mode == \"odd\"\n", "data/settings.yaml": "settings:\n  mode: odd\n"}, "site/data/settings.yaml:2", "setting_value", "is odd"},
		{"METADATA that is no YAML", site("# METADATA\n# title: [a\n" + goodRule), "site/a.rego:2", "rego_parse_error", "yaml"},
		{"settings looked up in data", site(sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if some name in object.get(data, \"settings\", {}).quiet\n"), "site/a.rego:3", "rego_recursion_error", "recursive"},
		{"an absent list, counted", site(holdEach + "\tcount({t | some t in profile.tokens.tokens}) == 0\n}\n"), "site/a.rego:5", "maybe_undefined", "the count is 0"},
		{"a number from text that may be anything", site(holdOne + "\tto_number(input.container.environment.vars.LIMIT) > 3\n}\n"), "site/a.rego:4", "builtin_error_likely", "regex.match"},
		{"a time from text that may be anything", site(holdEach + "\ttime.parse_rfc3339_ns(profile.prior_state.gateway) > 0\n}\n"), "site/a.rego:5", "builtin_error_likely", "time.parse_rfc3339_ns"},
		{"sprintf with a place too many", site(sitePackage + "hold contains {\"profile\": name, \"reason\": sprintf(\"%s %s\", [name])} if some name, _ in input.profiles\n"), "site/a.rego:3", "sprintf_arguments", "2 places"},
		{"not before a comparison with a fact that may be absent", site(holdEach + "\tnot profile.starts.count > 3\n}\n"), "site/a.rego:5", "negated_absence", "input.profiles[_].starts.count may be absent"},
		{"a verb that does not print the fact", site(sitePackage + "hold contains {\"profile\": name, \"reason\": sprintf(\"%s\", [profile.starts.count])} if some name, profile in input.profiles\n"), "site/a.rego:3", "sprintf_verb", "integer, which %s does not print"},
		{"print in a rule", site(holdEach + "\tprint(name, profile)\n}\n"), "site/a.rego:5", "print_unseen", "print()"},
		{"a test without an input", map[string]string{"a.rego": goodRule, "a_test.rego": "package reconcile.rules.site_test\n\nimport data.reconcile.rules.site\n\nheld := site.hold\n\ntest_a if held == set()\n"}, "site/a_test.rego:7", "test_without_input", "test_a"},
		{"a fact below a name of an import", site(sitePackage + "import input.profiles\n\nhold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, _ in profiles\n\tprofiles[name].prior_sate.desired == \"x\"\n}\n\nhold contains {\"profile\": name, \"reason\": \"no\"} if some name, _ in profiles\n"), "site/a.rego:7", "unknown_fact", `did you mean "prior_state"`},
		{"decisions before there are any", site(sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, decision in input.decisions\n\tdecision.action == \"start\"\n}\n"), "site/a.rego:4", "decisions_too_early", "reconcile.rules"},
		{"an endless rule", site(sitePackage + "hold contains {\"profile\": \"coder\", \"reason\": \"no\"} if {\n\tinput.phase == \"boot\"\n\tsome i in numbers.range(1, 100000)\n\tsome j in numbers.range(1, 100000)\n\ti * j == 7\n}\n"), "site/a.rego:", "too_slow", "not done after"},
		{"two values at once", site(sitePackage + "_limit := 1 if input.phase == \"boot\"\n\n_limit := 2 if input.phase == \"boot\"\n\nhold contains {\"profile\": \"coder\", \"reason\": \"no\"} if _limit > 0\n"), "site/a.rego:", "conflict", "a home where nothing is unusual"},
		{"a builtin error in a helper", site(sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, profile in input.profiles\n\t_many(profile.prior_state.desired)\n}\n\n_many(text) if {\n\tto_number(text) > 3\n}\n"), "site/a.rego:9", "builtin_error", "to_number"},
		{"an order in words", site("# METADATA\n# scope: package\n# custom: {order: last}\n" + sitePackage + "alarm contains {\"reason\": \"x\"} if input.phase == \"boot\"\n"), "site/a.rego:1", "order_number", "custom.order is last"},
		{"a delay that is too long only at times", site(sitePackage + "delay contains {\"profile\": name, \"seconds\": 4000 * count(input.profiles), \"reason\": \"x\"} if some name, _ in input.profiles\n"), "site/a.rego:3", "bad_member", "want 0 to 3600"},
		{"a member that is wrong only at times", site(sitePackage + "hold contains {\"profile\": name, \"reason\": reason} if {\n\tsome name, profile in input.profiles\n\treason := object.get(profile.prior_state, \"gateway\", 7)\n}\n"), "site/a.rego:3", "bad_member", "want a string"},
		{"tests of nothing", map[string]string{"a.rego": goodRule, "a_test.rego": "package reconcile.rules.site_test\n\nimport data.reconcile.rules.site\n\nholds := site.hold\n"}, "site/a_test.rego:1", "test_empty", "test_"},
		{"a test that is not run", map[string]string{"a.rego": goodRule, "a_test.rego": "package reconcile.rules.site_test\n\nimport data.reconcile.rules.site\n\ntestHold if count(site.hold) == 0\n\ntest_b if count(site.hold) == 0\n"}, "site/a_test.rego:5", "test_name", "testHold"},
		{"a test of another package", map[string]string{"a.rego": goodRule, "a_test.rego": "package reconcile.rules.sight_test\n\ntest_a if data.reconcile.rules.site.hold == set()\n"}, "site/a_test.rego:1", "test_package", `did you mean "reconcile.rules.site"`},
		{"a test that refers to nothing", map[string]string{"a.rego": goodRule, "a_test.rego": "package reconcile.rules.site_test\n\ntest_a if 1 == 1\n"}, "site/a_test.rego:1", "test_refers_nothing", "data.reconcile.rules.site"},
		{"a misspelt fact in a test", map[string]string{"a.rego": goodRule, "a_test.rego": "package reconcile.rules.site_test\n\nimport data.reconcile.rules.site\n\ntest_a if {\n\thold := site.hold with input as {\"profiles\": {\"coder\": {\"prior_sate\": {}}}}\n\tcount(hold) == 0\n}\n"}, "site/a_test.rego:6", "test_unknown_fact", `did you mean "prior_state"`},
		{"a setting that nobody set, in a test", map[string]string{"a.rego": goodRule, "a_test.rego": "package reconcile.rules.site_test\n\nimport data.reconcile.rules.site\n\ntest_a if {\n\tcount(site.hold) == data.settings.many\n}\n"}, "site/a_test.rego:6", "unknown_setting", "many"},
		{"a test that does not compile", map[string]string{"a.rego": goodRule, "a_test.rego": "package reconcile.rules.site_test\n\nimport data.reconcile.rules.site\n\ntest_a if {\n\tcount(site.hold) == nobody\n}\n"}, "site/a_test.rego:6", "rego_unsafe_var_error", "nobody"},
	}
	for _, m := range mistakes {
		pinned[m.code] = true
		t.Run(m.name, func(t *testing.T) {
			report := check(t, m.files, nil)
			found := slices.ContainsFunc(report.Findings, func(f Finding) bool {
				place := fmt.Sprintf("%s:%d", f.File, f.Row)
				return f.Code == m.code && (place == m.at || strings.HasSuffix(m.at, ":") && strings.HasPrefix(place, m.at) && f.Row > 1) &&
					strings.Contains(f.Message, m.words) && f.Fix != ""
			})
			if !found {
				t.Errorf("no finding %s at %s with %q, have:\n%s", m.code, m.at, m.words, lines(report.Findings))
			}
			for _, f := range report.Findings {
				if codeOf(f.Code).Means == "" {
					t.Errorf("%s is not among the codes", f)
				}
				if strings.Contains(f.Message, "__local") || strings.Contains(f.Message, "located__") || strings.Contains(f.Message, "reconcile.types") {
					t.Errorf("%s shows what the compiler made of the text", f)
				}
			}
		})
	}
	for _, code := range Codes {
		if strings.Contains(code.Fix, "see the message") {
			t.Errorf("%s: a mend says what would be right, or is empty", code.Code)
		}
		if !pinned[code.Code] {
			t.Errorf("no mistake in the table has the code %s", code.Code)
		}
	}
}

// The built-in rules keep what Check asks of operators, beyond what Load asks.
func TestCheckFindsNothingInTheBuiltInRules(t *testing.T) {
	t.Parallel()
	builtin := rego.BuiltIn()
	files := fstest.MapFS{}
	rules, err := rego.ReadRules([]rego.Layer{builtin}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range rules.Sources {
		own := strings.Replace(string(s.Text), "package reconcile.rules.", "package reconcile.rules.my_", 1)
		files[s.Name] = &fstest.MapFile{Data: []byte(own)}
	}
	report := Check(t.Context(), []rego.Layer{builtin, {Name: "copy", Files: files}}, Options{Options: rego.Options{Timeout: 5 * time.Second}})
	if len(report.Findings) > 0 {
		t.Errorf("findings:\n%s", lines(report.Findings))
	}
	if report.Rules != len(rules.Sources) || len(report.Situations) != len(example.Situations()) {
		t.Errorf("%d files and %d situations, want %d and %d", report.Rules, len(report.Situations), len(rules.Sources), len(example.Situations()))
	}
}

// What is guarded, and what only looks like a mistake, is none.
func TestCheckAcceptsGoodRules(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"a list asked for first":                  site(sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tinput.container.multiplex.allowlist\n\tsome name, _ in input.profiles\n\tnot name in input.container.multiplex.allowlist\n}\n"),
		"a list whose status is asked for":        site(holdEach + "\tprofile.tokens.status == \"recorded\"\n\tcount({t | some t in profile.tokens.tokens}) == 0\n}\n"),
		"a list in which something is looked for": site(holdEach + "\t\"x\" in {t.fingerprint | some t in profile.tokens.tokens}\n}\n"),
		"a number that is tested first":           site(holdOne + "\tlimit := input.container.environment.vars.LIMIT\n\tregex.match(`^[0-9]+$`, limit)\n\tto_number(limit) > 3\n}\n"),
		"a fact asked for before !=":              site(holdEach + "\tprofile.prior_state.desired\n\tprofile.prior_state.desired != \"running\"\n}\n"),
		"!= of the items of a list":               site(holdEach + "\tsome token in profile.tokens.tokens\n\ttoken.fingerprint != \"x\"\n}\n"),
		"!= of a default":                         site(holdEach + "\tobject.get(profile.prior_state, \"desired\", \"\") != \"running\"\n}\n"),
		"not before a function of the profile":    site(holdEach + "\tnot _on(profile)\n}\n\n_on(profile) if profile.prior_state.desired == \"running\"\n"),
		"glob.match":                              site(sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, _ in input.profiles\n\tglob.match(\"scratch-*\", [], name)\n}\n"),
		"a variable of our own":                   site(holdOne + "\tinput.container.environment.vars.HERMES_RECONCILE_TEAM == \"x\"\n}\n"),
		"an end that is tested":                   site(sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\", \"until\": text} if {\n\tsome name, profile in input.profiles\n\ttext := profile.lifecycle.reason\n\tregex.match(`^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$`, text)\n}\n"),
		"a waive that a setting allows":           {"a.rego": sitePackage + "waive contains {\"profile\": name, \"rule\": \"reconcile.rules.multiplex\", \"reason\": \"no\"} if {\n\tsome name, profile in input.profiles\n\tname in data.settings.may\n\tprofile.lifecycle.reason == \"please\"\n}\n", "data/settings.yaml": "settings:\n  may: []\n"},
		"a start by the recorded state":           site(sitePackage + "start contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, profile in input.profiles\n\tprofile.prior_state.desired == \"running\"\n}\n"),
		"a delay with a limit":                    site(sitePackage + "delay contains {\"profile\": name, \"seconds\": min({3600, 10 * count(input.profiles)}), \"reason\": \"x\"} if some name, _ in input.profiles\n"),
		"a setting of the type of the fact":       {"a.rego": holdEach + "\tprofile.starts.count == data.settings.many\n}\n", "data/settings.yaml": "settings:\n  many: 3\n"},
		"a flag that is negated":                  site(holdOne + "\tnot input.container.command.no_supervise\n}\n"),
		"a helper with a name near that of a set": site(sitePackage + "held contains name if some name, _ in input.profiles\n\nhold contains {\"profile\": name, \"reason\": \"no\"} if some name in held\n"),
		"a helper that another package reads":     {"a.rego": goodRule + "\nstarts := 3\n", "b.rego": "package reconcile.rules.other\n\nalarm contains {\"reason\": \"no\"} if data.reconcile.rules.site.starts > 3\n"},
		"a percent sign in a reason":              site(sitePackage + "hold contains {\"profile\": name, \"reason\": sprintf(\"100%% of %v\", [name])} if some name, _ in input.profiles\n"),
		"names by import":                         {"lib/l.rego": "package reconcile.lib.l\n\nquiet(name) if startswith(name, \"q\")\n\nlimits.soft := 3\n", "a.rego": sitePackage + "import data.reconcile.lib.l\nimport data.reconcile.lib.l.limits\nimport data.reconcile.rules.prior_intent\n\nhold contains {\"profile\": name, \"reason\": \"no\"} if {\n\tsome name, _ in input.profiles\n\tl.quiet(name)\n\tcount(prior_intent.start) > l.limits.soft\n\tlimits.soft > 2\n}\n"},
		"decisions in their place":                site("package reconcile.after.site\n\ndelay contains {\"profile\": name, \"seconds\": 5, \"reason\": \"later\"} if {\n\tsome name, decision in input.decisions\n\tdecision.action == \"start\"\n}\n"),
		"a test with the example facts":           {"a.rego": goodRule, "a_test.rego": "package reconcile.rules.site_test\n\nimport data.reconcile.lib.example\nimport data.reconcile.rules.site\n\ntest_a if {\n\thold := site.hold with input as example.home({\"coder\": {\"prior_state\": {}}})\n\tcount(hold) == 0\n}\n"},
		"a setting that is read":                  {"a.rego": sitePackage + "hold contains {\"profile\": name, \"reason\": \"no\"} if some name in data.settings.quiet\n", "data/settings.yaml": "settings:\n  quiet: []\n"},
		"files beside the rules":                  {"a.rego": goodRule, "README.md": "# hello", "schemas/input.json": "{}", ".regal/config.yaml": "a: 1", "a.rego~": "old", ".a.rego.swp": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			if report := check(t, files, nil); len(report.Findings) > 0 {
				t.Errorf("findings:\n%s", lines(report.Findings))
			}
		})
	}
}

// A member for a profile that is not there says nothing at boot, but for an alarm.
func TestCheckNamesProfilesThatAreNotThere(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"a.rego": {Data: []byte(strings.ReplaceAll(strings.ReplaceAll(goodRule, "coder", "codr"), "apply", "boot"))}}
	home := example.Situation{Name: "the present home", Input: policy.Input{Phase: "boot", Profiles: map[string]policy.Facts{"coder": {}}}}
	report := Check(t.Context(), []rego.Layer{rego.BuiltIn(), {Name: "site", Files: files}}, Options{Situations: []example.Situation{home}})
	if len(report.Findings) != 1 || report.Findings[0].Code != "unknown_profile" || report.Findings[0].Row != 3 || !strings.Contains(report.Findings[0].Message, `did you mean "coder"`) {
		t.Errorf("want one warning in row 3, have:\n%s", lines(report.Findings))
	}
}

// One mistake does not hide another.
func TestCheckGoesOn(t *testing.T) {
	t.Parallel()
	report := check(t, map[string]string{
		"a.rego":             holdEach + "\tprofile.prior_sate.desired == \"running\"\n}\n\nholds contains {\"profile\": \"x\", \"reason\": \"no\"} if input.phase == \"boot\"\n",
		"b.rego":             "package reconcile.rules.other\n\nhold contains {\n",
		"data/settings.yaml": "settings: 3\n",
	}, nil)
	var have []string
	for _, f := range report.Findings {
		have = append(have, f.Code)
	}
	for _, want := range []string{"unknown_fact", "misspelt_set", "rego_parse_error", "settings_error"} {
		if !slices.Contains(have, want) {
			t.Errorf("no %s among:\n%s", want, lines(report.Findings))
		}
	}
}

func site(text string) map[string]string { return map[string]string{"a.rego": text} }

func lines(findings []Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "  %s\n", f)
	}
	return b.String()
}
