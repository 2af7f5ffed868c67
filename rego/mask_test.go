package rego

import (
	"strings"
	"testing"
)

const maskedEvent = `{"input":{"container":{"labels":{"site":"berlin"}},"list":[1,2,3],"profiles":{"coder":{"tokens":"x"}}},"result":{"profile":"coder","reason":"why"}}`

// Mask rules do what OPA's documentation says of them. Paths that lead nowhere do nothing.
func TestMask(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, rules, want string }{
		{
			"removed, by the words of the event", `mask contains sprintf("/input/profiles/%s/tokens", [name]) if some name in object.keys(input.input.profiles)`,
			`{"erased":["/input/profiles/coder/tokens"],"input":{"container":{"labels":{"site":"berlin"}},"list":[1,2,3],"profiles":{"coder":{}}},"result":{"profile":"coder","reason":"why"}}`,
		},
		{"the whole input", `mask contains "/input"`, `{"erased":["/input"],"result":{"profile":"coder","reason":"why"}}`},
		{
			"replaced, of an object and of a list", `mask contains {"op": "upsert", "path": "/result/reason", "value": {"left": "out"}}
mask contains {"op": "upsert", "path": "/input/list/1", "value": null}`,
			`{"input":{"container":{"labels":{"site":"berlin"}},"list":[1,null,3],"profiles":{"coder":{"tokens":"x"}}},"masked":["/input/list/1","/result/reason"],"result":{"profile":"coder","reason":{"left":"out"}}}`,
		},
		{
			"made, with the objects above", `mask contains {"op": "upsert", "path": "/input/new/key", "value": 7}
mask contains {"op": "remove", "path": "/input/profiles"}
mask contains "/input/container"
mask contains "/input/list/0"`,
			`{"erased":["/input/container","/input/list/0","/input/profiles"],"input":{"list":[2,3],"new":{"key":7}},"masked":["/input/new/key"],"result":{"profile":"coder","reason":"why"}}`,
		},
		{
			"nowhere", `mask contains "/input/profiles/writer/tokens"
mask contains "/input/list/9"
mask contains "/input/list/first"
mask contains "/result/reason/deeper"
mask contains {"op": "upsert", "path": "/result/reason/deeper", "value": 1}
mask contains "/nd_builtin_cache"`,
			maskedEvent,
		},
		{"a setting decides", `mask contains path if some path in data.settings.hidden`, `{"erased":["/result/reason"],"input":{"container":{"labels":{"site":"berlin"}},"list":[1,2,3],"profiles":{"coder":{"tokens":"x"}}},"result":{"profile":"coder"}}`},
	} {
		e, err := load(map[string]string{"mask.rego": "package system.log\n\n" + test.rules, "data/settings.yaml": "settings: {hidden: [/result/reason]}\n"})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		got, err := e.Mask(t.Context(), []byte(maskedEvent))
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %v\n got %s\nwant %s", test.name, err, got, test.want)
		}
	}
}

// A mask that fails hides the event from everybody, and says where it failed. It holds no
// profile.
func TestMaskFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, rules, want string }{
		{"no rule", `msk contains "/input"`, "data.system.log.mask is not defined"},
		{"no path", `mask contains "input"`, "the mask input has no path that begins with /input or /result"},
		{"elsewhere", `mask contains "/labels"`, "the mask /labels has no path"},
		{"another operation", `mask contains {"op": "hide", "path": "/input"}`, "has the op hide, want remove or upsert"},
		{"a number", `mask contains 7`, "the mask 7 has no path"},
		{"no set", `mask := "/input"`, "data.system.log.mask is no set"},
		{"it breaks", `mask contains "/input" if to_number("x") == 1`, "mask.rego:3: eval_builtin_error"},
		{"it is slow", `mask contains "/input" if count([x | some x in numbers.range(1, 100000000)]) == 0`, "not done after"},
		{"it has a mistake", `mask contains "/input" if undefined_helper(1)`, "mask.rego:3:27: undefined function undefined_helper"},
		{"it is no Rego", `mask contains contains`, "mask.rego:3"},
	} {
		e, err := load(map[string]string{"mask.rego": "package system.log\n\n" + test.rules})
		if e == nil {
			t.Errorf("%s: no rules: %v", test.name, err)
			continue
		}
		got, err := e.Mask(t.Context(), []byte(maskedEvent))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: masks to %s, %v, want %q", test.name, got, err, test.want)
		}
		for _, f := range e.Evaluate(t.Context(), "rules", input(running)).Failures {
			if !f.NotEnforced {
				t.Errorf("%s: it fails as a rule that may hold: %+v", test.name, f)
			}
		}
	}
}
