package check

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/rego"
)

// inspect finds mistakes in the operator's rules that the compiler accepts.
func (c *checker) inspect() {
	var root *rego.Schema
	if json.Unmarshal(c.options.Schema, &root) != nil {
		root = nil // compile reports the error
	}
	packages := map[string]bool{}
	for _, s := range c.sources {
		packages[s.Package()] = true
	}
	for _, s := range c.sources {
		if s.Layer == 0 {
			continue
		}
		i := &inspector{checker: c, Source: s, schema: root, packages: packages, empties: map[string]*emptiable{}}
		i.inspectModule()
	}
	for _, s := range c.tests {
		i := &inspector{checker: c, Source: s, schema: root, packages: packages}
		i.inspectTest()
	}
}

// An inspector checks one file.
type inspector struct {
	*checker
	rego.Source
	schema   *rego.Schema // of input; nil if unknown
	packages map[string]bool
	scope    rego.Scope // of the present rule
	empties  map[string]*emptiable
}

func (i *inspector) at(location *ast.Location, code, format string, args ...any) {
	f := Finding{Code: code, Message: fmt.Sprintf(format, args...)}
	if location != nil {
		f.File, f.Row, f.Col = location.File, location.Row, location.Col
	}
	i.add(f)
}

func (i *inspector) inspectModule() {
	kind := i.Kind()
	for _, rule := range i.Module.Rules {
		i.scope = rego.NewScope(rule, nil)
		if kind != rego.KindLib {
			i.inspectHead(rule)
		}
		if kind == rego.KindRules {
			i.inspectDecisions(rule)
		}
		i.inspectComparisons(rule)
		i.inspectSettings(rule)
		i.inspectCalls(rule)
		i.findEmptiables(rule)
	}
	i.inspectReferences()
	i.inspectEmptiables()
}

// inspectHead checks the name of a rule and the member that it adds.
func (i *inspector) inspectHead(rule *ast.Rule) {
	name := rego.RuleName(rule)
	if !rego.IsSet(name) {
		i.inspectName(rule, name)
		return
	}
	if rego.IsMultiValue(rule) {
		i.inspectMember(policy.Set(name), rule, rule.Head.Key)
	}
	if rule.Else != nil {
		i.at(rule.Else.Location, "set_expected", "a rule of a set has no else")
	}
}

// otherWords are the names that other tools give to the sets.
var otherWords = map[string]policy.Set{
	"veto": policy.SetHold, "deny": policy.SetHold, "block": policy.SetHold, "stop": policy.SetHold, "down": policy.SetHold,
	"want": policy.SetStart, "allow": policy.SetStart, "up": policy.SetStart, "warn": policy.SetAlarm, "alert": policy.SetAlarm,
	"ignore": policy.SetSkip, "exclude": policy.SetSkip, "waiver": policy.SetWaive, "environment": policy.SetEnv, "wait": policy.SetDelay,
}

// inspectName finds a rule that was meant to contribute: its name is near that of a set,
// and nothing refers to it.
func (i *inspector) inspectName(rule *ast.Rule, name string) {
	if strings.HasPrefix(name, "_") || len(rule.Head.Args) > 0 || i.refersTo(name) {
		return
	}
	meant, ok := otherWords[name]
	if !ok {
		if meant = nearestSet(strings.ToLower(name)); meant == "" || len(name) < 3 {
			return
		}
	}
	i.at(rule.Head.Location, "misspelt_set", "%q is not a set, and nothing refers to it; did you mean %q?", name, meant)
}

// nearestSet returns the set whose name has the same letters, else the nearest one.
func nearestSet(name string) policy.Set {
	letters := func(word string) string {
		r := []rune(word)
		slices.Sort(r)
		return string(r)
	}
	for _, set := range policy.Sets {
		if letters(string(set)) == letters(name) {
			return set
		}
	}
	return policy.Set(suggest.Nearest(name, rego.SetNames()))
}

// refersTo reports whether a rule of this or another file uses the name.
func (i *inspector) refersTo(name string) bool {
	own := i.Module.Package.Path.String()
	for _, s := range i.sources {
		here := s.Module == i.Module
		found := false
		ast.WalkRefs(s.Module, func(ref ast.Ref) bool {
			if head, ok := ref[0].Value.(ast.Var); ok && here && string(head) == name {
				found = true
			}
			found = found || strings.HasPrefix(ref.String(), own+"."+name)
			return found
		})
		for _, rule := range s.Module.Rules {
			ast.WalkVars(rule.Body, func(v ast.Var) bool {
				found = found || here && string(v) == name
				return found
			})
			if rule.Head.Value != nil {
				ast.WalkVars(rule.Head.Value, func(v ast.Var) bool {
					found = found || here && string(v) == name
					return found
				})
			}
		}
		if found {
			return true
		}
	}
	return false
}

// inspectMember checks a member that is written out, in the head or as the value of a
// variable.
func (i *inspector) inspectMember(set policy.Set, rule *ast.Rule, member *ast.Term) {
	if v, ok := member.Value.(ast.Var); ok {
		member = assigned(rule, v)
	}
	if member == nil {
		return
	}
	switch value := member.Value.(type) {
	case ast.Object:
		i.inspectKeys(set, member.Location, value)
	case ast.String, ast.Number, ast.Boolean, ast.Null, *ast.Array, ast.Set:
		required, _ := policy.Fields(set)
		i.at(member.Location, "member_not_object", "a member of %s is %s, want an object with %s", set, ast.ValueName(value), strings.Join(required, ", "))
	}
}

// assigned returns the term that a rule's body assigns to a variable, or nil.
func assigned(rule *ast.Rule, v ast.Var) (value *ast.Term) {
	for _, e := range rule.Body {
		if e.IsAssignment() && e.Operand(0).Value.Compare(v) == 0 {
			value = e.Operand(1)
		}
	}
	return value
}

func (i *inspector) inspectKeys(set policy.Set, location *ast.Location, member ast.Object) {
	required, optional := policy.Fields(set)
	known := slices.Concat(required, optional)
	values := map[string]any{}
	complete := true
	member.Foreach(func(k, v *ast.Term) {
		key, ok := k.Value.(ast.String)
		if !ok {
			complete = false
			return
		}
		if !slices.Contains(known, string(key)) {
			i.at(k.Location, "member_unknown_key", "a member of %s has no key %q%s", set, string(key), suggest.Words(string(key), known))
			complete = false
		}
		if f, ok := i.resolve(v); ok && key == "profile" && slices.Equal(f.path, []string{"profiles", "*"}) {
			i.at(v.Location, "member_type", "%s is the facts of a profile and not its name; write: some %s, _ in input.profiles", v, v)
			complete = false
		}
		values[string(key)] = i.plainOrExample(set, string(key), v)
	})
	for _, key := range required {
		if _, ok := values[key]; !ok && complete {
			code := "member_missing_key"
			if key == "reason" {
				code = "member_no_reason"
			}
			i.at(location, code, "a member of %s has no %s, want %s", set, key, strings.Join(required, ", "))
			complete = false
		}
	}
	if !complete {
		return
	}
	if _, err := policy.DecodeMember(set, values); err != nil {
		i.at(location, "member_type", "%v", err)
	} else if rule, ok := values["rule"].(string); ok && rule != examples["rule"] && !i.packages[rule] {
		i.at(location, "unknown_rule", "there is no rule package %q to waive%s", rule, suggest.Words(rule, sortedKeys(i.packages)))
	}
}

// examples are valid values for the keys whose values are not constant.
var examples = map[string]any{
	"profile": "coder", "reason": "why", "code": "word", "until": "2026-11-22T06:00:00Z", "rule": "\x00", "file": "gateway.pid",
	"name": "NAME", "value": "value", "state": "running", "migrated_from": "before", "seconds": json.Number("1"), "on_exhaustion": "hold", "hold_seconds": json.Number("60"),
	"budget": map[string]any{"deaths": 1, "window_seconds": 1}, "exit_codes": map[string]any{"78": "never"},
}

// plainOrExample returns the value if it is constant, a value of the fact's type if it
// is a fact, and else a valid example.
func (i *inspector) plainOrExample(set policy.Set, key string, v *ast.Term) any {
	switch v.Value.(type) {
	case ast.String, ast.Number, ast.Boolean, ast.Null:
		if plain, err := rego.PlainValue(v.Value); err == nil {
			return plain
		}
	case *ast.Array, ast.Set, *ast.ArrayComprehension, *ast.SetComprehension:
		return []any{}
	case ast.Object:
		if plain, err := ast.JSON(v.Value); err == nil && ast.IsConstant(v.Value) {
			return plain
		}
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

// inspectDecisions finds the use of decisions before they exist.
func (i *inspector) inspectDecisions(rule *ast.Rule) {
	ast.WalkRefs(rule, func(ref ast.Ref) bool {
		if len(ref) > 1 && ref[0].Equal(ast.InputRootDocument) && ref[1].Equal(ast.StringTerm("decisions")) {
			i.at(ref[0].Location, "decisions_too_early", "there are no input.decisions yet when packages of reconcile.rules run")
		}
		return false
	})
}
