package rego

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"hermes-reconcile/rego/recipes"

	"github.com/google/go-cmp/cmp"
)

// Every setting of the built-in rules has its type and its words in the schema.
func TestSettingsFitTheirSchema(t *testing.T) {
	t.Parallel()
	values, err := ReadSettings(BuiltIn())
	if err != nil {
		t.Fatal(err)
	}
	have := slices.Sorted(maps.Keys(values))
	var want []string
	for key := range settingsSchema().Properties {
		want = append(want, key)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("settings.schema.json and settings.yaml differ (-schema +settings):\n%s", diff)
	}
	if err := (&Rules{Settings: map[string]any{}}).add(settings{name: "settings.yaml", values: values}); err != nil {
		t.Error(err)
	}
}

func TestSettingsFilesAreRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"settings:\n  start_states: {running: 1}\n", "data/settings.yaml:2:17: setting start_states is an object, want a list of strings"},
		{"settings:\n  start_states:\n    - running\n    - [7]\n", "data/settings.yaml:4:7: setting start_states: item 2 is a list with something else than strings, want a string"},
		{"settings:\n  sweep_files: ['']\n", "data/settings.yaml:2:17: setting sweep_files: item 1 is empty"},
		{"settings: {mine: 1}\nsettings: {mine: 2}\n", "data/settings.yaml:2:1: the key settings is there twice, want one with all settings"},
		{"settings:\n  start_states:\n", "data/settings.yaml:2:16: setting start_states is empty, want a list of strings"},
		{"settings:\n  mine: 1\n  start_state: [running]\n", `data/settings.yaml:3:3: unknown setting "start_state", did you mean "start_states"?`},
		{"settings:\n  mine: 1\n  mine: 2\n", `data/settings.yaml:3:3: the key "mine" is there twice, first in row 2; keep one`},
		{"settings:\n  hours: {22: night}\n", "data/settings.yaml:2:10: setting hours: want what JSON has: keys that are text"},
		{"settings:\n  share: .nan\n", "data/settings.yaml:2:10: setting share: want what JSON has: keys that are text, and numbers that are finite"},
		{"settings: [a]\n", "data/settings.yaml:1:11: want one key, settings, with an object"},
		{"settings: {}\nother: 1\n", "data/settings.yaml:2:1: want one key, settings, with an object"},
		{"settings: &a\n  round: *a\n", "yaml: anchor 'a' value contains itself"},
		{"settings: {a: &a [x,x,x,x,x,x,x,x,x,x], b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a], c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]," +
			" d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c], e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d], f: [*e,*e,*e,*e,*e,*e]}\n", "yaml: document contains excessive aliasing"},
		{"settings: {}\n---\nsettings: {mine: 1}\n", "data/settings.yaml:2:1: a second document, want one"},
		{"settings:\n\t- x\n", "data/settings.yaml:2:2: a value cannot begin so, and a line cannot begin with a tab"},
	} {
		_, err := load(map[string]string{"data/settings.yaml": test.text})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, want %q", test.text, err, test.want)
		}
	}
}

// A value has the type that its setting has: in the built-in rules, in a shipped recipe, or
// in an earlier layer. What is meant counts, and a number keeps all its digits.
func TestSettingsMeanWhatTheySay(t *testing.T) {
	t.Parallel()
	files := recipeCopies(t, "maintenance", "multiplex_only", "low_disk", "allow_list", "pin_up", "registry_drift")
	for _, test := range []struct{ text, key, want string }{
		{"maintenance: off", "maintenance", "false"}, {"maintenance: no", "maintenance", "false"}, {"maintenance: \"false\"", "maintenance", "false"},
		{"maintenance: 0", "maintenance", "false"}, {"maintenance: Yes", "maintenance", "true"}, {"multiplex_only: on", "multiplex_only", "true"},
		{"low_disk_percent: 5%", "low_disk_percent", "5"}, {"low_disk_mb: \"100\"", "low_disk_mb", "100"},
		{"allow_list: coder", "allow_list", `["coder"]`}, {"pin_up: [2024, 0x10, 1.50]", "pin_up", `["2024","0x10","1.50"]`}, {"pin_up: 2024", "pin_up", `["2024"]`},
		{"start_states: running", "start_states", `["running"]`}, {"fatal_exit_codes: [\"78\", 1]", "fatal_exit_codes", "[78,1]"},
		{"registry_plugin: 7", "registry_plugin", `"7"`}, {"owner: 1300000000000000001", "owner", "1300000000000000001"}, {"owner: 18446744073709551615", "owner", "18446744073709551615"},
	} {
		files["data/settings.yaml"] = "settings:\n  " + test.text + "\n"
		e, err := load(files)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if text, _ := json.Marshal(e.Settings()[test.key]); string(text) != test.want {
			t.Errorf("%s: %s, want %s", test.text, text, test.want)
		}
	}
	files["data/settings.yaml"] = "settings: {mine: true, owner: 1}\n"
	layers := operator(files)
	e, err := Load(layers, Options{Settings: map[string]any{"mine": "no", "owner": int64(1300000000000000001), "maintenance": "off"}})
	if err != nil {
		t.Fatal(err)
	}
	if e.Settings()["mine"] != false || e.Settings()["owner"] != json.Number("1300000000000000001") || e.Settings()["maintenance"] != false {
		t.Errorf("of the configuration: %v, %v, %v", e.Settings()["mine"], e.Settings()["owner"], e.Settings()["maintenance"])
	}
}

func TestSettingsOfARecipeAreRefused(t *testing.T) {
	t.Parallel()
	files := recipeCopies(t, "maintenance", "low_disk")
	for text, want := range map[string]string{
		"maintenance: perhaps": "data/settings.yaml:2:16: setting maintenance is a string, want a boolean", "low_disk_percent: 5 GB": "data/settings.yaml:2:21: setting low_disk_percent is a string, want a number",
	} {
		files["data/settings.yaml"] = "settings:\n  " + text + "\n"
		if _, err := load(files); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	files["maintenance.rego"] = "package reconcile.rules.maintenance\n\nhold contains {\"profile\": name, \"reason\": \"r\"} if some name in data.settings.maintenance\n"
	files["data/settings.yaml"] = "settings:\n  maintenance: [coder]\n  low_disk_mb: 0\n  low_disk_percent: 0\n  low_disk_except: []\n"
	if _, err := load(files); err != nil {
		t.Errorf("a rule of one's own with the name of a recipe: %v", err)
	}
}

func recipeCopies(t *testing.T, names ...string) map[string]string {
	files := map[string]string{}
	for _, name := range names {
		text, err := recipes.Files.ReadFile(name + "/" + name + ".rego")
		if err != nil {
			t.Fatal(err)
		}
		// The settings of the other recipes are not in the file.
		files[name+".rego"] = strings.SplitAfter(string(text), "package reconcile.rules."+name+"\n")[0] + "\nhold contains {\"profile\": \"x\", \"reason\": \"r\"} if input.phase == \"boot\"\n"
	}
	return files
}

// What an operator adds is free, and rules see it as JSON.
func TestSettingsOfOnesOwn(t *testing.T) {
	t.Parallel()
	e, err := load(map[string]string{"data/settings.yaml": `
settings:
  quiet: {from: 22, days: [Sunday], since: 2026-11-22, share: 0.5, on: yes, off: false, none: }
`})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(e.Settings()["quiet"])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"days":["Sunday"],"from":22,"none":null,"off":false,"on":"yes","share":0.5,"since":"2026-11-22"}`
	if string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

// A value that only YAML has does not bring the boot down.
func TestSettingsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	_, err := Load([]Layer{BuiltIn()}, Options{Settings: map[string]any{"hours": map[any]any{22: "night"}}})
	if err == nil || !strings.Contains(err.Error(), "configuration: settings") {
		t.Errorf("got %v, want an error of the configuration", err)
	}
}

// Whatever stands in a settings file is read, or refused with a place.
func FuzzSettings(f *testing.F) {
	for _, text := range []string{"settings: {a: [1, x, {b: .inf}]}", "settings: &a {b: *a}", "a: b", "--- !!set {a, b}", "settings: {<<: {a: 1}, ? [x] : y}", "settings: {a: !!binary eA==, b: 0x10, c: 1e400}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := settings{name: "settings.yaml"}
		if _, err := s.parse(text); err != nil {
			if err.Message == "" || err.File != "settings.yaml" {
				t.Errorf("%q: error %+v says nothing", text, err)
			}
			return
		}
		if _, err := json.Marshal(s.values); err != nil {
			t.Errorf("%q: %v is not what JSON has: %v", text, s.values, err)
		}
	})
}
