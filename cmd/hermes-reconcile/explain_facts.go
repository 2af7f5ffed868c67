package main

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"hermes-reconcile/policy"
)

// A usedFact is something that a rule read.
type usedFact struct {
	Name string   `json:"name"` // as a person would say it: prior_state.desired
	Path []string `json:"path"` // in the input document, or settings
	// Value is what was there; Present is false where nothing was.
	Value       any    `json:"value,omitempty"`
	Present     bool   `json:"present"`
	Description string `json:"description,omitempty"`
	WrittenBy   string `json:"written_by"` // "image", "operator", "kernel" or "agent"
	Rule        string `json:"rule"`       // that read it
}

// decidingSets are those whose contributions make a profile go up or stay down.
var decidingSets = []policy.Set{policy.SetSkip, policy.SetHold, policy.SetWaive, policy.SetStart}

// facts lists what the rules read that bear on the decision. Where none did, it is
// the prior state, which is what the usual rule would look at.
func (x *explainer) facts(contributions []policy.Contribution, schema json.RawMessage) []usedFact {
	facts := []usedFact{}
	add := func(f usedFact) {
		if !slices.ContainsFunc(facts, func(o usedFact) bool { return slices.Equal(o.Path, f.Path) }) {
			facts = append(facts, f)
		}
	}
	for _, c := range contributions {
		if !slices.Contains(decidingSets, c.Set) || !c.Counts() {
			continue
		}
		for _, r := range x.evaluator.Reads(c, x.profile) {
			if r.Setting {
				add(x.setting(r.Path, c.Rule))
			} else {
				add(x.fact(r.Path, c.Rule, schema))
			}
		}
	}
	if len(facts) == 0 {
		for _, key := range []string{"status", "desired", "gateway", "error"} {
			if f := x.fact([]string{"profiles", x.profile, "prior_state", key}, "", schema); f.Present {
				add(f)
			}
		}
	}
	return facts
}

func (x *explainer) setting(path []string, rule string) usedFact {
	value := x.evaluator.Setting(path[0])
	return usedFact{
		Name: "settings." + path[0], Path: []string{"settings", path[0]}, Value: value, Present: value != nil,
		Description: "data/settings.yaml, or settings in the configuration", WrittenBy: "operator", Rule: rule,
	}
}

func (x *explainer) fact(path []string, rule string, schema json.RawMessage) usedFact {
	f := usedFact{Name: x.nameOf(path), Path: path, Rule: rule}
	f.Value, f.Present = valueAt(x.situation.input, path)
	f.Description, f.WrittenBy = originOf(schema, path)
	return f
}

// nameOf shortens the path of a fact of the profile itself.
func (x *explainer) nameOf(path []string) string {
	if len(path) > 2 && path[0] == "profiles" && path[1] == x.profile {
		path = path[2:]
	}
	return strings.Join(path, ".")
}

// valueAt looks a path up in the input document.
func valueAt(in policy.Input, path []string) (any, bool) {
	text, err := json.Marshal(in)
	if len(path) > 2 && path[0] == "profiles" {
		text, err = json.Marshal(in.Profiles[path[1]])
		path = path[2:]
	}
	var value any
	if err != nil || json.Unmarshal(text, &value) != nil {
		return nil, false
	}
	for _, key := range path {
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = object[key]; !ok {
			return nil, false
		}
	}
	return value, true
}

// originOf reads in the schema where a fact comes from and who could have written
// it.
func originOf(schema json.RawMessage, path []string) (description, writtenBy string) {
	type node struct {
		Description string                     `json:"description"`
		WrittenBy   string                     `json:"x-written-by"`
		Properties  map[string]json.RawMessage `json:"properties"`
		Additional  json.RawMessage            `json:"additionalProperties"`
	}
	at := schema
	for i := 0; ; i++ {
		var n node
		if json.Unmarshal(at, &n) != nil {
			return description, writtenBy
		}
		description, writtenBy = cmp.Or(n.Description, description), cmp.Or(n.WrittenBy, writtenBy)
		if i == len(path) {
			return description, writtenBy
		}
		next, ok := n.Properties[path[i]]
		if !ok {
			next = n.Additional
		}
		if len(next) == 0 {
			return description, writtenBy
		}
		at = next
	}
}
