package rego

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
)

// A package is given what it may look at, through variables and helpers, and all of
// what goes where it cannot be followed.
func TestViews(t *testing.T) {
	const member = `{"profile": name, "reason": "x"}`
	tests := []struct {
		why, body, helpers, want string
	}{
		{"no input", `name := "coder"`, "", ""},
		{"a loop that looks at nothing", `some name, _ in input.profiles`, "", "{profiles{*}}"},
		{"a value that is compared", `some name, profile in input.profiles
	profile.prior_state.desired == "running"`, "", "{profiles{*{prior_state{desired=}}}}"},
		{"a value that is there or not", `some name, profile in input.profiles
	profile.prior_state.desired
	not profile.markers`, "", "{profiles{*{markers, prior_state{desired}}}}"},
		{"one profile by name, beside all", `some name, _ in input.profiles
	input.profiles.kids.markers.status == "recorded"
	input.profiles[name].name.valid`, "", "{profiles{*{name{valid}}, kids{markers{status=}, name{valid}}}}"},
		{"variables of variables", `some name, profile in input.profiles
	state := profile.prior_state
	again := state
	again.desired == "running"`, "", "{profiles{*{prior_state{desired=}}}}"},
		{"a helper, and one that it calls", `some name, profile in input.profiles
	not _wanted(profile)`, `_wanted(one) if _running(one.prior_state)

_running(state) if state.desired == "running"`, "{profiles{*{prior_state{desired=}}}}"},
		{"a helper with two bodies and else", `some name, profile in input.profiles
	_wanted(profile)`, `_wanted(one) if one.prior_state.desired == "running"

_wanted(one) if { one.markers.status == "x" } else if one.name.valid`, "{profiles{*{markers{status=}, name{valid}, prior_state{desired=}}}}"},
		{"a rule without arguments", `some name, _ in input.profiles
	name in _named`, `_named contains name if input.profiles[name].name.valid`, "{profiles{*{name{valid}}}}"},
		{"what a helper returns", `some name, profile in input.profiles
	_state(profile).desired == "running"`, `_state(one) := one.prior_state`, "{profiles{*{prior_state=}}}"},
		{"a builtin", `some name, profile in input.profiles
	object.get(profile, "prior_state", "") != ""`, "", "{profiles{*=}}"},
		{"a builtin by way of a helper", `some name, profile in input.profiles
	_count(profile) > 1`, `_count(one) := count(one)`, "{profiles{*=}}"},
		{"two profiles that are compared", `some name, profile in input.profiles
	some other, _ in input.profiles
	profile == input.profiles[other]`, "", "{profiles{*=}}"},
		{"two variables that are compared", `some name, profile in input.profiles
	other := input.profiles.kids
	profile == other`, "", "{profiles{*=, kids=}}"},
		{"an argument that is compared", `some name, profile in input.profiles
	_same(profile, {})`, `_same(one, other) if one == other`, "{profiles{*=}}"},
		{"an argument from elsewhere that is compared", `some name, _ in input.profiles
	_is_kids({"name": {}})`, `_is_kids(one) if one == input.profiles.kids`, "{profiles{*, kids=}}"},
		{"a pattern", `some name, profile in input.profiles
	{"name": {"valid": true}} = profile`, "", "{profiles{*=}}"},
		{"a key that is computed", `some name, profile in input.profiles
	some fact in ["markers", "name"]
	profile[fact].status == "recorded"`, "", "{profiles{*{*{status=}}}}"},
		{"a value as a key", `some name, profile in input.profiles
	{"running": 1}[profile.prior_state.desired]`, "", "{profiles{*{prior_state{desired=}}}}"},
		{"a profile in an array", `some name, profile in input.profiles
	[profile][0].name.valid`, "", "{profiles{*=}}"},
		{"a comprehension", `some name, _ in input.profiles
	count({one | some one in input.profiles}) > 1`, "", "{profiles{*=}}"},
		{"a comprehension of one value", `some name, _ in input.profiles
	count([one | some profile in input.profiles; one := profile.name.length]) > 1`, "", "{profiles{*{name{length=}}}}"},
		{"every", `some name, _ in input.profiles
	every profile in input.profiles { profile.name.valid }`, "", "{profiles=}"},
		{"input as a whole", `some name, _ in input.profiles
	count(input) > 1`, "", "="},
		{"input in a variable", `all := input
	some name, profile in all.profiles
	profile.name.valid`, "", "{profiles{*{name{valid}}}}"},
		{"another input", `some name, profile in input.profiles
	_wanted with input.phase as profile.name`, `_wanted if input.phase.valid`, "="},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			text := fmt.Sprintf("package reconcile.rules.site\n\nhold contains %s if {\n\t%s\n}\n\n%s\n", member, test.body, test.helpers)
			e, err := Load(operator(map[string]string{"site.rego": text}), Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range e.packages {
				if p.name != "reconcile.rules.site" {
					continue
				}
				if got := p.view().String(); got != test.want {
					t.Errorf("view %s\nwant %s", got, test.want)
				}
			}
		})
	}
}

// What is not in the view of a package makes no difference to what it says.
func TestViewsMakeNoDifference(t *testing.T) {
	seen := 0
	for _, e := range []*Evaluator{benchEvaluator(t), configuredRecipes(t)} {
		for name, in := range situations() {
			in.Decisions = allDecided(in, policy.ActionStart)
			whole, err := inputTerm(in)
			if err != nil {
				t.Fatal(err)
			}
			documents, err := inputTerms(in, e.packages)
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range e.packages {
				got, _ := e.evaluatePackage(t.Context(), p, documents[i], in.Now, nil)
				want, _ := e.evaluatePackage(t.Context(), p, whole, in.Now, nil)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("situation %s: %s with %s\nsays %+v\nwant %+v", name, p.name, p.view(), got, want)
				}
				seen += len(got.Contributions)
			}
		}
	}
	if seen < 1000 {
		t.Errorf("%d contributions were compared, want some thousand", seen)
	}
}

func situations() map[string]policy.Input {
	inputs := map[string]policy.Input{"of the benchmarks": manyProfiles(40), "of the recipes": recipeSituation(40)}
	for _, s := range Examples() {
		inputs[s.Name] = s.Input
	}
	return inputs
}

// Texts that encoding/json decodes become the same terms, and the others are refused.
func TestFactsAreReadAsJSON(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, `null`, `true`, `false`, `0`, `-1.5e3`, `1e2`, `100`, `12345678901234567890123`, `""`, `"x"`,
		" {\n\t\"a\" : [ 1 , true,false , null, {} ,[ ] ] ,\r\"b\":\"\" } ",
		`{"z":1,"a":{"z":1,"a":2},"z":{"a":2,"z":1}}`, `{"a":1,"a":2,"b":3,"a":4}`,
		`{"a":1,"b":2,"c":3,"d":4,"e":5}`, `{"a":1,"b":2,"c":3,"d":4}`, `{"b":2,"a":1}`,
		`"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"`, `{"\u0061":1,"a":2}`, `"ends in \\"`, `["\\\"","}"]`, "\"é😀\"", "\"bad \xff\"", `"\ud800"`,
		`{"skip":{"a":"}","b":[1,{"c":"\"]"}]},"keep":1}`,
		``, `{`, `{"a":}`, `nul`, `1e999999999999`, `"a`, `{"a":1e999999999999}`,
	} {
		want, wantErr := ast.ValueFromReader(strings.NewReader(text))
		c := newConverter(policy.Input{})
		if _, err := c.fact(json.RawMessage(`{"a":2,"z":1,"b":[],"c":{}}`), everything); err != nil { // to be shared
			t.Fatal(err)
		}
		got, err := c.fact(json.RawMessage(text), everything)
		switch {
		case (err != nil) != (wantErr != nil):
			t.Errorf("%q: error %v, want %v", text, err, wantErr)
		case err == nil && ast.Compare(got.Value, want) != 0:
			t.Errorf("%q is %s, want %s", text, got, want)
		case err == nil && got.Value.Hash() != want.Hash():
			t.Errorf("%q has another hash", text)
		}
	}
}

// A fact is read without what is not in the view.
func TestFactsAreReadInTheView(t *testing.T) {
	const text = `{"a": {"x": "}", "y": [1, {"x": 2, "y": "\"]"}]}, "b": [[{"x": 1}], "s"], "c": false, "d": {"x": 1}}`
	tests := []struct {
		view *view
		want string
	}{
		{everything, text},
		{&view{}, `{}`},
		{&view{keys: map[string]*view{"b": {}, "c": {}, "d": {}, "e": {}}}, `{"b": [], "c": false, "d": {}}`},
		{&view{keys: map[string]*view{"a": {keys: map[string]*view{"y": everything}}}}, `{"a": {"y": [1, {"x": 2, "y": "\"]"}]}}`},
		{&view{each: &view{keys: map[string]*view{"x": {}}}}, `{"a": {"x": "}"}, "b": [], "c": false, "d": {"x": 1}}`},
		{&view{each: &view{each: &view{each: &view{keys: map[string]*view{"y": everything}}}}}, `{"a": {"x": "}", "y": [1, {"y": "\"]"}]}, "b": [[{}], "s"], "c": false, "d": {"x": 1}}`},
	}
	for _, test := range tests {
		c := newConverter(policy.Input{})
		got, err := c.fact(json.RawMessage(text), test.view)
		if err != nil {
			t.Fatal(err)
		}
		if want := ast.MustParseTerm(test.want); !got.Equal(want) {
			t.Errorf("in the view %s it is\n%s, want\n%s", test.view, got, want)
		}
	}
}
