package workbench

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"hermes-reconcile/rego"
	"hermes-reconcile/rego/example"
)

func siteLayers(files map[string]string) []rego.Layer {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return []rego.Layer{rego.BuiltIn(), {Name: "site", Files: m}}
}

const goodRule = "package reconcile.rules.site\n\nhold contains {\"profile\": \"coder\", \"reason\": \"no\"} if input.phase == \"apply\"\n"

const scratchRule = `package reconcile.rules.scratch

hold contains {"profile": name, "reason": "scratch"} if {
	some name, _ in input.profiles
	some pattern in data.settings.scratch
	glob.match(pattern, [], name)
}

alarm contains {"reason": "a dashboard"} if input.container.command.role == "dashboard"
`

const scratchTest = `package reconcile.rules.scratch_test

import data.reconcile.lib.example
import data.reconcile.rules.scratch

test_settings_of_the_directory if {
	members := scratch.hold with input as example.home({"s-1": {}, "coder": {}})
	{member.profile | some member in members} == {"s-1"}
}

test_wrong if {
	print("seen", count(scratch.hold))
	false
}

test_breaks if to_number("x") == 1

todo_test_later if true
`

func TestRunTests(t *testing.T) {
	t.Parallel()
	layers := siteLayers(map[string]string{
		"scratch.rego": scratchRule, "scratch_test.rego": scratchTest, "data/settings.yaml": "settings: {scratch: [\"s-*\"]}\n",
	})
	report, err := RunTests(t.Context(), layers, TestOptions{Coverage: true})
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, r := range report.Tests {
		have = append(have, fmt.Sprintf("%s:%d %s %s", r.File, r.Row, r.Name, r.Outcome))
	}
	want := []string{
		"site/scratch_test.rego:6 test_settings_of_the_directory pass",
		"site/scratch_test.rego:11 test_wrong fail",
		"site/scratch_test.rego:16 test_breaks error",
		"site/scratch_test.rego:18 todo_test_later skip",
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("tests (-want +have):\n%s", diff)
	}
	if !strings.Contains(report.Tests[1].Output, "seen 0") || !strings.Contains(report.Tests[2].Error, "to_number") {
		t.Errorf("want what was printed and why it broke, have %+v", report.Tests)
	}
	files := report.Coverage.Files
	if len(files) != 1 || files[0].File != "site/scratch.rego" || !slices.Contains(files[0].NotCovered, "9") || files[0].Percent >= 100 {
		t.Errorf("want scratch.rego without line 9, have %+v", files)
	}
}

// A directory that brings its own copy of the examples uses that.
func TestRunTestsWithTheCopyOfTheExamples(t *testing.T) {
	t.Parallel()
	own := strings.Replace(string(example.Library()), "at(situation_, time_) :=", "mine := 7\n\nat(situation_, time_) :=", 1)
	layers := siteLayers(map[string]string{
		"scratch.rego": scratchRule, example.LibraryFile: own, "data/settings.yaml": "settings: {scratch: []}\n",
		"scratch_test.rego": "package reconcile.rules.scratch_test\n\nimport data.reconcile.lib.example\n\ntest_mine if example.mine == 7\n",
	})
	report, err := RunTests(t.Context(), layers, TestOptions{})
	if err != nil || len(report.Tests) != 1 || report.Tests[0].Outcome != Passed {
		t.Errorf("have %+v, %v", report, err)
	}
}

// What a boot refuses, a test cannot use either.
func TestRunTestsRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"rego_parse_error": "package reconcile.rules.scratch_test\n\ntest_a if {",
		"rego_type_error":  "package reconcile.rules.scratch_test\n\ntest_a if time.now_ns() > 0\n",
	} {
		layers := siteLayers(map[string]string{"scratch.rego": scratchRule, "scratch_test.rego": text, "data/settings.yaml": "settings: {scratch: []}\n"})
		if report, err := RunTests(t.Context(), layers, TestOptions{}); err == nil {
			t.Errorf("%s: have %+v, want an error", name, report)
		} else if !strings.Contains(err.Error(), "site/scratch_test.rego:3:") {
			t.Errorf("%s: %v does not name the place", name, err)
		}
	}
}

// The functions of the examples do what the guide says.
func TestExampleLibrary(t *testing.T) {
	t.Parallel()
	layers := siteLayers(map[string]string{"a.rego": goodRule, "example_test.rego": `package reconcile.rules.site_test

import data.reconcile.lib.example

test_home if {
	home := example.home({"a": {"prior_state": {"desired": "stopped"}}, "b": {}})
	{name | some name, _ in home.profiles} == {"a", "b"}
	home.profiles.a.prior_state.desired == "stopped"
	home.profiles.a.prior_state.status == "recorded"
	home.profiles.b.prior_state.desired == "running"
	home.container.command.role == "sleep"
}

test_situation if {
	here := example.situation({"command": {"role": "dashboard"}}, {"a": {}})
	here.container.command.role == "dashboard"
	here.container.command.status == "recorded"
	here.container.multiplex.on == false
}

test_at if {
	now := example.at(example.home({}), "2026-11-28T23:30:00Z").now
	now.minute == 1410
	now.weekday == "Saturday"
	now.unix_ns == 1795908600000000000
}

test_decided if {
	after := example.decided(example.home({"a": {}}), {"a": "start"})
	after.decisions == {"a": {"action": "start", "code": "example"}}
}
`})
	report, err := RunTests(t.Context(), layers, TestOptions{})
	if err != nil || len(report.Tests) != 4 {
		t.Fatalf("have %+v, %v", report, err)
	}
	for _, r := range report.Tests {
		if r.Outcome != Passed {
			t.Errorf("%s: %s %s", r.Name, r.Outcome, r.Error)
		}
	}
}

func TestPackages(t *testing.T) {
	t.Parallel()
	layers := siteLayers(map[string]string{
		"a.rego": "# METADATA\n# scope: package\n# title: A title\n# description: Why\n" + goodRule, "data/settings.yaml": "settings: {disabled_rules: [multiplex]}\n",
	})
	packages, err := Packages(layers, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := packages[len(packages)-1]
	if last.Name != "reconcile.rules.site" || last.Title != "A title" || last.Description != "Why" || last.Layer != "site" || last.Row != 5 || last.Off || fmt.Sprint(last.Sets) != "[hold]" {
		t.Errorf("have %+v", last)
	}
	for _, p := range packages {
		if p.Layer == "built-in" && p.Title == "" || p.Off != (p.Name == "reconcile.rules.multiplex") {
			t.Errorf("have %+v", p)
		}
	}
}
