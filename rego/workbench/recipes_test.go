package workbench

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/rego"
	"hermes-reconcile/rego/check"
)

// layer is the recipe as an operator has it in a directory.
func (r Recipe) layer() rego.Layer {
	files := fstest.MapFS{rego.SettingsFile: {Data: []byte(r.Settings)}}
	for name, text := range r.Files {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return rego.Layer{Name: "recipes/" + r.Name, Files: files}
}

func (r Recipe) defaults(t testing.TB) map[string]any {
	t.Helper()
	settings, err := rego.ReadSettings(r.layer())
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

// The Rego tests beside the recipes, each with the built-in settings and those
// that the recipe comes with.
func TestRecipeTests(t *testing.T) {
	t.Parallel()
	for _, r := range Recipes() {
		t.Run(r.Name, func(t *testing.T) {
			modules, texts := regoFiles(t, r.layer())
			settings, err := rego.ReadSettings(rego.BuiltIn())
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(settings, r.defaults(t))
			runRegoTests(t, modules, settings)
			checkStyle(t, modules, texts)
		})
	}
}

// A recipe says in its METADATA what it is for and what it does, and that is true.
func TestRecipesSayWhatTheyDo(t *testing.T) {
	t.Parallel()
	for _, r := range Recipes() {
		if r.Title == "" || !strings.HasSuffix(r.Description, ".") {
			t.Errorf("%s: title %q, description %q, want both, in sentences", r.Name, r.Title, r.Description)
		}
		if r.Package != "reconcile.rules."+r.Name && r.Package != "reconcile.after."+r.Name {
			t.Errorf("%s: package %s, want reconcile.rules.%s or reconcile.after.%s", r.Name, r.Package, r.Name, r.Name)
		}
		modules, _ := regoFiles(t, r.layer())
		sets, codes := contributed(modules[r.Name+".rego"])
		if got := sorted(r.Contributes); !slices.Equal(got, sets) {
			t.Errorf("%s: custom.contributes is %q, but the package has %q", r.Name, got, sets)
		}
		if got := sorted(r.Codes); !slices.Equal(got, codes) {
			t.Errorf("%s: custom.codes is %q, but the package has %q", r.Name, got, codes)
		}
		if _, err := os.Stat("../../fixtures/recipe-" + r.Name + ".txtar"); err != nil {
			t.Errorf("%s is not shown at work: %v", r.Name, err)
		}
		if !strings.Contains(r.Files[r.Name+"_test.rego"], "test_not_configured") {
			t.Errorf("%s: no test test_not_configured_…: with the settings that it comes with it has no opinion", r.Name)
		}
	}
}

// contributed returns the sets and the codes that stand in a module, sorted.
func contributed(module *ast.Module) (sets, codes []string) {
	for _, rule := range module.Rules {
		if rego.IsSet(rego.RuleName(rule)) {
			sets = append(sets, rego.RuleName(rule))
		}
	}
	ast.WalkTerms(module, func(term *ast.Term) bool {
		if object, ok := term.Value.(ast.Object); ok {
			if code := object.Get(ast.StringTerm("code")); code != nil {
				if text, ok := code.Value.(ast.String); ok {
					codes = append(codes, string(text))
				}
			}
		}
		return false
	})
	return sorted(sets), sorted(codes)
}

// sorted returns the words sorted, each once.
func sorted(words []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(words)))
}

// `policy check` finds nothing in recipes that were just installed.
func TestRecipesPassTheCheck(t *testing.T) {
	t.Parallel()
	for _, f := range check.Check(t.Context(), allLayers(), check.Options{}).Findings {
		t.Errorf("%s (%s)", f, f.Fix)
	}
}

// allLayers are the built-in rules and every recipe.
func allLayers() []rego.Layer {
	layers := []rego.Layer{rego.BuiltIn()}
	for _, r := range Recipes() {
		layers = append(layers, r.layer())
	}
	return layers
}

// Recipes share a settings file, so a key belongs to one of them, and its name
// says to which.
func TestRecipeSettings(t *testing.T) {
	t.Parallel()
	shorter := map[string]string{"registry_drift": "registry"}
	builtIn, err := rego.ReadSettings(rego.BuiltIn())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for key := range builtIn {
		seen[key] = "the built-in rules"
	}
	for _, r := range Recipes() {
		for key, value := range r.defaults(t) {
			if first, taken := seen[key]; taken {
				t.Errorf("%s: the setting %s belongs to %s", r.Name, key, first)
			}
			seen[key] = r.Name
			if prefix := cmp.Or(shorter[r.Name], r.Name); !strings.HasPrefix(key, prefix) {
				t.Errorf("%s: the setting %s does not begin with %s", r.Name, key, prefix)
			}
			if list, ok := value.([]any); ok && slices.ContainsFunc(list, func(item any) bool { _, isText := item.(string); return !isText }) {
				t.Errorf("%s: the setting %s is not a list of text, and an operator's value would have to be of the same type", r.Name, key)
			}
			if !strings.Contains(r.Files[r.Name+".rego"], key) {
				t.Errorf("%s: nothing reads the setting %s", r.Name, key)
			}
		}
	}
}

// Any of them can be installed beside any other, in one directory or in several,
// in any order: no name of a setting looks like a misspelt one.
func TestRecipesTogether(t *testing.T) {
	t.Parallel()
	layers := allLayers()
	if _, err := rego.Load(layers, rego.Options{}); err != nil {
		t.Error(err)
	}
	slices.Reverse(layers[1:])
	if _, err := rego.Load(layers, rego.Options{}); err != nil {
		t.Error(err)
	}
}

// An operator who has given a recipe other settings can still run its tests.
func TestRecipesKeepTheirTestsWithOtherSettings(t *testing.T) {
	t.Parallel()
	settings := map[string]any{}
	for _, r := range Recipes() {
		for key, value := range r.defaults(t) {
			settings[key] = otherSetting(value)
		}
	}
	report, err := RunTests(t.Context(), allLayers(), TestOptions{Settings: settings})
	if err != nil || len(report.Tests) < len(Recipes()) {
		t.Errorf("%d tests ran: %v", len(report.Tests), err)
	}
	for _, test := range report.Tests {
		if test.Outcome != Passed {
			t.Errorf("with %v: %s: %s: %s %s", settings, test.File, test.Name, test.Outcome, test.Error)
		}
	}
}

// otherSetting is another value of the same type.
func otherSetting(value any) any {
	switch v := value.(type) {
	case bool:
		return !v
	case string:
		return v + "other"
	case []any:
		return []any{"coder", "other"}
	case map[string]any:
		return map[string]any{"coder": "other"}
	default:
		return 7
	}
}
