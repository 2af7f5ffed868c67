package rego

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego/recipes"
)

// recipeSituation is a home with so many profiles in which every recipe has work,
// once it is configured.
func recipeSituation(profiles int) policy.Input {
	now := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
	in := policy.Input{
		SchemaVersion: policy.SchemaVersion, Phase: policy.PhaseBoot, Now: policy.NewNow(now),
		Container: policy.Facts{
			"environment": json.RawMessage(`{"status": "recorded", "vars": {"API_SERVER_PORT": "8642"}, "flags": {}, "secrets": [{"name": "SLACK_BOT_TOKEN", "fingerprint": "ff"}]}`),
			"multiplex":   json.RawMessage(`{"status": "recorded", "on": true, "source": "config"}`),
			"disk":        json.RawMessage(`{"status": "recorded", "home_free_bytes": 1000000, "home_free_percent": 1}`),
			"sentinels":   json.RawMessage(`{"status": "recorded", "estop": {"present": true}, "drain_request": true, "fleet_restart_pending": true}`),
			"host":        json.RawMessage(`{"status": "recorded", "hostname": "gateway-2", "boot_id": "b2", "started_at_unix": 1795388000}`),
		},
		Profiles:  map[string]policy.Facts{policy.RootProfile: recipeProfile(now, 0)},
		Decisions: map[string]policy.Verdict{policy.RootProfile: {Action: policy.ActionStart}},
	}
	for i := range profiles {
		name := fmt.Sprintf("profile-%05d", i+1)
		in.Profiles[name] = recipeProfile(now, i+1)
		in.Decisions[name] = policy.Verdict{Action: policy.ActionStart}
	}
	return in
}

// recipeProfile is a profile that shares its token and its port with a second one
// and its derived port with many; some have no state, some a torn one.
func recipeProfile(now time.Time, i int) policy.Facts {
	states := []string{
		`{"status": "recorded", "desired": "running", "platforms": {"telegram": {"state": "connected"}}}`,
		`{"status": "missing"}`, `{"status": "invalid"}`, `{"status": "recorded", "gateway": "draining"}`,
	}
	source, scope := "default", "telegram"
	if i%3 == 0 {
		source, scope = ".env", "openai"
	}
	return policy.Facts{
		"name":           json.RawMessage(`{"status": "recorded", "valid": true, "problem": ""}`),
		"markers":        json.RawMessage(`{"status": "recorded", "files": {"SOUL.md": {"kind": "file", "modified_unix": 1}}}`),
		"operator_files": json.RawMessage(`{"status": "recorded", "files": {".no-auto-start": {"kind": "file"}}}`),
		"prior_state":    json.RawMessage(states[i%len(states)]),
		"lifecycle":      json.RawMessage(`{"status": "recorded", "exit": "clean", "phase": "exited", "exit_code": 78, "exited_at_unix": 1000}`),
		"unclean_exits":  json.RawMessage(fmt.Sprintf(`{"status": "recorded", "times_unix": [%d, %d, %d]}`, now.Unix()-300, now.Unix()-200, now.Unix()-100)),
		"config":         json.RawMessage(fmt.Sprintf(`{"status": "recorded", "platforms": {"telegram": {"enabled": true}}, "enabled_jobs": 0, "jobs_status": "missing", "standalone": %t}`, i%5 == 0)),
		"tokens":         json.RawMessage(fmt.Sprintf(`{"status": "recorded", "config_status": "recorded", "env_link": false, "tokens": [{"scope": %q, "fingerprint": "%x", "source": ".env", "name": "X_TOKEN", "exclusive": true}]}`, scope, i/2)),
		"ports":          json.RawMessage(fmt.Sprintf(`{"status": "recorded", "derived": %d, "ports": [{"platform": "api_server", "port": %d, "source": %q, "enabled": true}]}`, 9200+i%600, 10000+i/2, source)),
	}
}

// recipesConfigured are settings with which each recipe contributes to that situation.
var recipesConfigured = map[string]any{
	"never_autostart": []any{"profile-*"}, "never_autostart_files": []any{".no-auto-start"},
	"allow_list":       []any{"default"},
	"crash_hold_exits": 3, "crash_hold_fatal_exit_codes": []any{"78"},
	"token_owner_scopes": []any{"telegram", "slack"}, "token_owners": map[string]any{"1": "writer"},
	"stagger_seconds": 1, "stagger_order": []any{"*1", "*2"},
	"maintenance": true, "maintenance_files": []any{"ESTOP"}, "maintenance_except": []any{"*7"},
	"pin_up":             []any{"*"},
	"first_boot_running": []any{"*1"}, "first_boot_stopped": []any{"*"},
	"topology":   map[string]any{"*": "multiplex", "*1": "standalone", "*2": "off"},
	"port_owner": true, "port_owner_first": []any{"profile-00002"},
	"lost_credentials_platforms": []any{"telegram", "discord"},
	"has_work":                   []any{"bot"}, "has_work_platforms": []any{"discord"},
	"low_disk_mb": 100, "low_disk_percent": 5,
	"registry": []any{"profile-00001", "*2"}, "registry_hold": true,
	"restart_table_never": []any{"78"}, "restart_table_deaths": 5,
	"quiet_hours_from": "22:00", "quiet_hours_to": "07:00",
	"canary_percent":   20,
	"state_unreadable": "hold",
	"derived_ports":    true,
	"multiplex_only":   true,
}

// recipeLayers returns every recipe as an operator has it in a directory, by name.
func recipeLayers(tb testing.TB) map[string]Layer {
	tb.Helper()
	entries, err := recipes.Files.ReadDir(".")
	if err != nil {
		tb.Fatal(err)
	}
	layers := map[string]Layer{}
	for _, entry := range entries {
		name := entry.Name()
		files := fstest.MapFS{}
		for file, from := range map[string]string{name + ".rego": name + ".rego", name + "_test.rego": name + "_test.rego", SettingsFile: "settings.yaml"} {
			text, err := recipes.Files.ReadFile(name + "/" + from)
			if err != nil {
				tb.Fatal(err)
			}
			files[file] = &fstest.MapFile{Data: text}
		}
		layers[name] = Layer{Name: "recipes/" + name, Files: files}
	}
	return layers
}

// allRecipes returns the built-in layer and every recipe.
func allRecipes(tb testing.TB) []Layer {
	tb.Helper()
	all := []Layer{BuiltIn()}
	layers := recipeLayers(tb)
	for _, name := range slices.Sorted(maps.Keys(layers)) {
		all = append(all, layers[name])
	}
	return all
}

func configuredRecipes(tb testing.TB) *Evaluator {
	tb.Helper()
	e, err := Load(allRecipes(tb), Options{Settings: recipesConfigured, Timeout: time.Minute})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// Every recipe, configured, contributes to the situation, so that the next test
// measures something.
func TestConfiguredRecipesContribute(t *testing.T) {
	t.Parallel()
	e := configuredRecipes(t)
	in := recipeSituation(40)
	count := map[string]int{}
	for _, stage := range []policy.Stage{policy.StageRules, policy.StageAfter} {
		got := e.Evaluate(t.Context(), stage, in)
		for _, f := range got.Failures {
			t.Errorf("%s failed: %s %s", f.Rule, f.Location, f.Error)
		}
		for _, c := range got.Contributions {
			count[c.Rule]++
		}
	}
	for _, p := range e.packages {
		if p.Layer > 0 && count[p.Name] == 0 {
			t.Errorf("%s contributes nothing", p.Name)
		}
	}
}

// steps counts what the evaluation of a query does.
type steps struct{ n int }

func (*steps) Enabled() bool               { return true }
func (s *steps) TraceEvent(topdown.Event)  { s.n++ }
func (*steps) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// countSteps evaluates one package and counts.
func countSteps(t *testing.T, e *Evaluator, p rulePackage, document Document) int {
	t.Helper()
	txn, err := e.store.NewTransaction(t.Context(), storage.TransactionParams{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.store.Abort(t.Context(), txn)
	counter := &steps{}
	err = topdown.NewQuery(p.query).WithCompiler(e.compiler).WithStore(e.store).WithTransaction(txn).
		WithInput(document.term).WithTime(document.now).WithQueryTracer(counter).
		Iter(t.Context(), func(topdown.QueryResult) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return counter.n
}

// Ten times the profiles are about ten times the work, in every recipe. Steps are
// counted and not seconds, so that the machine has no say; BenchmarkRecipes has
// the seconds.
func TestRecipesGrowLinearly(t *testing.T) {
	skipUnderRace(t)
	e := configuredRecipes(t)
	for _, p := range e.packages {
		if p.Layer == 0 {
			continue
		}
		if few, many := growth(t, e, p); many > 11*few {
			t.Errorf("%s: %d steps for 50 profiles and %d for 500", p.Name, few, many)
		}
	}
}

// The same where the settings name every profile.
func TestRecipesWithLongListsGrowLinearly(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	for name, layer := range recipeLayers(t) {
		defaults, err := ReadSettings(layer)
		if err != nil {
			t.Fatal(err)
		}
		var counts []int
		for _, n := range []int{50, 500} {
			in := recipeSituation(n)
			document, err := NewDocument(in)
			if err != nil {
				t.Fatal(err)
			}
			e := oneRecipe(t, name, namingAll(defaults, in))
			counts = append(counts, countSteps(t, e, e.packages[len(e.packages)-1], document))
		}
		if counts[1] > 11*counts[0] {
			t.Errorf("%s: %d steps for 50 profiles and %d for 500", name, counts[0], counts[1])
		}
	}
}

// namingAll are settings with which a recipe has work, and whose lists of profiles
// name every one.
func namingAll(defaults map[string]any, in policy.Input) map[string]any {
	var list []any
	modes, owners := map[string]any{}, map[string]any{}
	for i, name := range slices.Sorted(maps.Keys(in.Profiles)) {
		list = append(list, name)
		modes[name], owners[fmt.Sprintf("%x", i/2)] = "multiplex", name
	}
	settings := map[string]any{}
	for key := range defaults {
		switch {
		case key == "topology":
			settings[key] = modes
		case key == "token_owners":
			settings[key] = owners
		case slices.Contains(profileLists, key):
			settings[key] = list
		case recipesConfigured[key] != nil:
			settings[key] = recipesConfigured[key]
		}
	}
	return settings
}

// profileLists are the settings that are lists of profiles.
var profileLists = []string{
	"never_autostart", "allow_list", "stagger_order", "maintenance_except", "pin_up", "first_boot_running",
	"first_boot_stopped", "port_owner_first", "low_disk_except", "registry", "restart_table_profiles",
	"quiet_hours_profiles", "canary_always", "derived_ports_except",
}

// The count sees a rule that compares each profile with every other one.
func TestPairwiseGrowthIsSeen(t *testing.T) {
	skipUnderRace(t)
	e, err := load(map[string]string{"pairs.rego": `package reconcile.rules.pairs

hold contains {"profile": a, "reason": "shares its port"} if {
	some a, one in input.profiles
	some b, other in input.profiles
	a != b
	one.prior_state == other.prior_state
}
`})
	if err != nil {
		t.Fatal(err)
	}
	if few, many := growth(t, e, e.packages[len(e.packages)-1]); many < 50*few {
		t.Errorf("%d steps for 50 profiles and %d for 500, want about a hundred times as many", few, many)
	}
}

// growth counts the steps of a package for 50 and for 500 profiles.
func growth(t *testing.T, e *Evaluator, p rulePackage) (few, many int) {
	t.Helper()
	var counts []int
	for _, n := range []int{50, 500} {
		in := recipeSituation(n)
		document, err := NewDocument(in)
		if err != nil {
			t.Fatal(err)
		}
		counts = append(counts, countSteps(t, e, p, document))
	}
	return counts[0], counts[1]
}

// BenchmarkRecipes evaluates each recipe, configured, over many profiles:
// BenchmarkRecipes/<name>/<profiles>.
func BenchmarkRecipes(b *testing.B) {
	e := configuredRecipes(b)
	for _, p := range e.packages {
		if p.Layer == 0 {
			continue
		}
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", p.Name[len("reconcile.rules."):], n), func(b *testing.B) {
				benchPackage(b, e, p, recipeSituation(n))
			})
		}
	}
}
