package check

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/rego"
)

// member checks a member that is written out, in the head or as the value of a variable.
func (i *inspector) member(set policy.Set, member *ast.Term) {
	if v, ok := member.Value.(ast.Var); ok {
		if member, _ = i.assigned(v); member == nil {
			return
		}
	}
	switch value := member.Value.(type) {
	case ast.Object:
		i.keys(set, member.Location, value)
	case ast.String, ast.Number, ast.Boolean, ast.Null, *ast.Array, ast.Set:
		required, _ := policy.Fields(set)
		i.at(member.Location, "member_not_object", "a member of %s is %s, want an object with %s", set, ast.ValueName(value), strings.Join(required, ", "))
	}
}

// assigned returns the term that the present rule assigns to a variable, and the body
// with the assignment.
func (i *inspector) assigned(v ast.Var) (value *ast.Term, in ast.Body) {
	ast.WalkBodies(i.rule, func(body ast.Body) bool {
		for _, e := range body {
			if e.IsAssignment() && v.Equal(e.Operand(0).Value) {
				value, in = e.Operand(1), body
			}
		}
		return false
	})
	return value, in
}

func (i *inspector) keys(set policy.Set, location *ast.Location, member ast.Object) {
	required, optional := policy.Fields(set)
	known := slices.Concat(required, optional)
	values := map[string]any{}
	complete := true
	wrong := func(location *ast.Location, code, format string, args ...any) {
		i.at(location, code, format, args...)
		complete = false
	}
	member.Foreach(func(k, v *ast.Term) {
		key, ok := k.Value.(ast.String)
		if !ok {
			complete = false
			return
		}
		if !slices.Contains(known, string(key)) {
			wrong(k.Location, "member_unknown_key", "a member of %s has no key %q%s", set, string(key), suggest.Words(string(key), known))
		}
		if f, ok := i.resolve(v); ok && key == "profile" && slices.Equal(f.path, []string{"profiles", "*"}) {
			wrong(v.Location, "member_type", "%s is the facts of a profile and not its name; write: some name, _ in input.profiles", v)
		}
		if key == "until" || key == "at" {
			i.uncheckedTime(string(key), v)
		}
		values[string(key)] = i.plainOrExample(string(key), v)
	})
	for _, key := range required {
		if _, ok := values[key]; !ok && complete {
			code := "member_missing_key"
			if key == "reason" {
				code = "member_no_reason"
			}
			wrong(location, code, "a member of %s has no %s, want %s", set, key, strings.Join(required, ", "))
		}
	}
	if !complete {
		return
	}
	if _, cut, err := policy.DecodeMember(set, values); err != nil || cut != "" {
		i.at(location, "member_type", "%s", cmp.Or(cut, fmt.Sprint(err)))
	} else if rule, ok := values["rule"].(string); ok && rule != examples["rule"] && !i.isRulePackage(rule) {
		i.at(location, "unknown_rule", "there is no rule package %q to waive%s", rule, suggest.Words(rule, i.rulePackages(0)))
	}
}

// uncheckedTime finds a time that is text from the volume, which may be no time.
func (i *inspector) uncheckedTime(key string, v *ast.Term) {
	if f, ok := i.resolve(v); ok && (f.node == nil || f.node.Type == "string") && !i.tested(v, []string{"regex.match"}) {
		i.at(v.Location, "unchecked_time", "%s is %s, and the whole package fails if that is no time", key, f)
	}
}

// restsOnAgent finds a start or a waive about which the agent alone decides: the rule reads
// facts that the agent can write, and nothing else. The recorded state is the operator's
// intent, although the agent can write it.
func (i *inspector) restsOnAgent(set policy.Set) {
	if set != policy.SetStart && set != policy.SetWaive {
		return
	}
	var agents []fact
	others := false
	ast.WalkTerms(i.rule.Body, func(t *ast.Term) bool {
		f, isFact := i.resolve(t)
		switch ref, isRef := t.Value.(ast.Ref); {
		case !isRef || isFact && len(f.path) < 3: // such as input.profiles[name]
		case isFact && f.node != nil && f.node.WrittenBy == "agent" && (set == policy.SetWaive || f.path[2] != "prior_state"):
			agents = append(agents, f)
		case isFact || ref.HasPrefix(ast.DefaultRootRef):
			others = true
		}
		return false
	})
	if len(agents) > 0 && !others {
		i.at(i.rule.Location, "rests_on_agent", "the agent can write %s, and nothing else decides about this %s", agents[0], set)
	}
}

// rulePackages returns the names of the packages of the layers from the given one.
func (c *checker) rulePackages(first int) (names []string) {
	for _, s := range c.rules.Sources {
		if s.Layer >= first {
			names = append(names, s.Package())
		}
	}
	slices.Sort(names)
	return names
}

func (c *checker) isRulePackage(name string) bool { return slices.Contains(c.rulePackages(0), name) }

// examples are valid values for the keys whose values are not constant.
var examples = map[string]any{
	"profile": "coder", "reason": "why", "code": "word", "until": "2026-11-22T06:00:00Z", "rule": "\x00", "file": "gateway.pid",
	"name": "NAME", "value": "value", "state": "running", "migrated_from": "before", "seconds": json.Number("1"), "at": "2026-11-22T06:00:00Z", "after_seconds": json.Number("60"), "on_exhaustion": "hold", "hold_seconds": json.Number("60"),
	"reset_after_seconds": json.Number("60"), "count_term": true, "priority": json.Number("1"),
	"budget": map[string]any{"deaths": 1, "window_seconds": 1}, "exit_codes": map[string]any{"78": "never"},
}

// plainOrExample returns the value if it is constant, a value of the fact's type if it
// is a fact, and else a valid example.
func (i *inspector) plainOrExample(key string, v *ast.Term) any {
	switch v.Value.(type) {
	case *ast.Array, ast.Set, *ast.ArrayComprehension, *ast.SetComprehension:
		return []any{}
	}
	if plain, err := rego.PlainValue(v.Value); err == nil && ast.IsConstant(v.Value) {
		return plain
	}
	if f, ok := i.resolve(v); ok && f.node != nil {
		switch f.node.Type {
		case "object":
			if _, wantsObject := examples[key].(map[string]any); !wantsObject {
				return map[string]any{}
			}
		case "array":
			return []any{}
		case "boolean":
			return true
		}
	}
	return examples[key]
}
