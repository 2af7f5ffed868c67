package rego

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"hermes-reconcile/policy"
)

// Whatever could not be found out, no configured recipe breaks: a rule that breaks
// holds the whole fleet.
func TestConfiguredRecipesSurviveMissingFacts(t *testing.T) {
	t.Parallel()
	e := configuredRecipes(t)
	whole := recipeSituation(4)
	for _, fact := range slices.Sorted(maps.Keys(whole.Container)) {
		for _, value := range []string{"", `{"status": "timed_out"}`, `{"status": "failed", "error": "x"}`} {
			in := recipeSituation(4)
			replaceFact(in.Container, fact, value)
			expectNoFailure(t, e, in, fmt.Sprintf("container.%s %s", fact, value))
		}
	}
	for _, fact := range slices.Sorted(maps.Keys(whole.Profiles[policy.RootProfile])) {
		for _, value := range []string{"", `{"status": "timed_out"}`, `{"status": "unreadable", "error": "x"}`} {
			in := recipeSituation(4)
			for _, facts := range in.Profiles {
				replaceFact(facts, fact, value)
			}
			expectNoFailure(t, e, in, fmt.Sprintf("profile fact %s %s", fact, value))
		}
	}
}

// replaceFact puts a value in the place of a fact; none is no fact at all.
func replaceFact(facts policy.Facts, name, value string) {
	delete(facts, name)
	if value != "" {
		facts[name] = json.RawMessage(value)
	}
}

func expectNoFailure(t *testing.T, e *Evaluator, in policy.Input, situation string) {
	t.Helper()
	for _, stage := range []policy.Stage{policy.StageRules, policy.StageAfter} {
		for _, f := range e.Evaluate(t.Context(), stage, in).Failures {
			t.Errorf("%s: %s failed: %s %s", situation, f.Rule, f.Location, f.Error)
		}
	}
}

// oneRecipe loads a recipe with some of its settings changed.
func oneRecipe(t *testing.T, name string, settings map[string]any) *Evaluator {
	t.Helper()
	e, err := Load([]Layer{BuiltIn(), recipeLayers(t)[name]}, Options{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// fleet is some profiles that would all start, with one fact each.
func fleet(fact string, values map[string]string) policy.Input {
	in := policy.Input{
		Container: policy.Facts{"environment": json.RawMessage(`{"vars": {}, "secrets": []}`)},
		Profiles:  map[string]policy.Facts{}, Decisions: map[string]policy.Verdict{},
	}
	for name, value := range values {
		in.Profiles[name] = policy.Facts{"name": json.RawMessage(`{"valid": true}`), fact: json.RawMessage(value)}
		in.Decisions[name] = policy.Verdict{Action: policy.ActionStart}
	}
	return in
}

var fleetNames = []string{"default", "a", "b", "c", "d", "e"}

// Whoever has which tokens: of those that go up no two have the same one, and
// somebody always goes up.
func TestTokenOwnerLeavesOneOwner(t *testing.T) {
	t.Parallel()
	e := oneRecipe(t, "token_owner", map[string]any{"token_owner_scopes": []any{"telegram"}})
	rapid.Check(t, func(rt *rapid.T) {
		has, facts := map[string]string{}, map[string]string{}
		for _, name := range fleetNames {
			has[name] = rapid.SampledFrom([]string{"1", "2", "3", ""}).Draw(rt, name)
			source := rapid.SampledFrom([]string{"managed", ".env", "config.yaml", "environment"}).Draw(rt, name+" source")
			facts[name] = `{"tokens": []}`
			if has[name] != "" {
				facts[name] = fmt.Sprintf(`{"tokens": [{"scope": "telegram", "fingerprint": %q, "source": %q, "name": "X", "exclusive": true}]}`, has[name], source)
			}
		}
		up := notHeld(e.Evaluate(t.Context(), policy.StageAfter, fleet("tokens", facts)))
		owners := map[string]int{}
		for _, name := range up {
			owners[has[name]]++
		}
		for token, n := range owners {
			if token != "" && n != 1 {
				rt.Errorf("token %s has %d owners among %q, want 1", token, n, up)
			}
		}
		for name, token := range has {
			if token != "" && owners[token] == 0 {
				rt.Errorf("token %s of %s has no owner among %q", token, name, up)
			}
		}
	})
}

func notHeld(got policy.Evaluation) []string {
	return slices.DeleteFunc(slices.Clone(fleetNames), func(name string) bool {
		return slices.ContainsFunc(got.Contributions, func(c policy.Contribution) bool {
			return c.Set == policy.SetHold && c.Profile == name
		})
	})
}

// Whatever ports the files name: afterwards no two API servers share one, and who
// has a port of its own keeps it.
func TestDerivedPortsAreAllDifferent(t *testing.T) {
	t.Parallel()
	e := oneRecipe(t, "derived_ports", map[string]any{"derived_ports": true, "derived_ports_except": []any{}})
	rapid.Check(t, func(rt *rapid.T) {
		port, facts := map[string]int{}, map[string]string{}
		for _, name := range fleetNames {
			port[name] = rapid.SampledFrom([]int{8642, 9200, 9201, 9800, 9801}).Draw(rt, name)
			derived := rapid.SampledFrom([]int{9200, 9201, 9202}).Draw(rt, name+" derived")
			source := rapid.SampledFrom([]string{".env", "default"}).Draw(rt, name+" source")
			if source == "default" {
				port[name] = 8642
			}
			facts[name] = fmt.Sprintf(`{"derived": %d, "ports": [{"platform": "api_server", "port": %d, "source": %q, "enabled": true}]}`, derived, port[name], source)
		}
		for _, c := range e.Evaluate(t.Context(), policy.StageRules, fleet("ports", facts)).Contributions {
			if c.Set == policy.SetEnv {
				given, err := strconv.Atoi(c.Value)
				if err != nil {
					rt.Fatalf("%s for %s is %q, want a number", c.Name, c.Profile, c.Value)
				}
				port[c.Profile] = given
			}
		}
		owner := map[int]string{}
		for _, name := range fleetNames {
			if other, taken := owner[port[name]]; taken {
				rt.Errorf("%s and %s share port %d", other, name, port[name])
			}
			owner[port[name]] = name
		}
	})
}

// With the settings that they come with, recipes contribute nothing, whatever the
// facts are.
func TestRecipesThatAreNotConfiguredHaveNoOpinion(t *testing.T) {
	t.Parallel()
	e, err := Load(allRecipes(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	bare := policy.Input{Profiles: map[string]policy.Facts{policy.RootProfile: {}, "coder": {}}, Decisions: map[string]policy.Verdict{}}
	for _, in := range []policy.Input{recipeSituation(40), bare} {
		for _, stage := range []policy.Stage{policy.StageRules, policy.StageAfter} {
			got := e.Evaluate(t.Context(), stage, in)
			for _, f := range got.Failures {
				t.Errorf("%s failed: %s", f.Rule, f.Error)
			}
			for _, c := range got.Contributions {
				if c.Layer > 0 {
					t.Errorf("%s contributes %s for %q: %s", c.Rule, c.Set, c.Profile, c.Reason)
				}
			}
		}
	}
}
