package rego

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
)

// inspect reads the operator's rules one by one, for what the compiler lets pass.
func (c *checker) inspect() {
	var root *factNode
	if c.options.Schema != nil {
		root = &factNode{}
		if err := json.Unmarshal(c.options.Schema, root); err != nil {
			root = nil // compile reports it
		}
	}
	packages := map[string]bool{}
	for _, s := range c.sources {
		packages[packageName(s.module.Package.Path)] = true
	}
	for _, s := range c.sources {
		if s.layer == 0 {
			continue
		}
		i := &inspector{checker: c, module: s.module, schema: root, packages: packages, empties: map[string]*emptiable{}}
		i.inspectModule()
	}
	for _, s := range c.tests {
		i := &inspector{checker: c, module: s.module, schema: root, packages: packages}
		i.inspectTest()
	}
}

// An inspector reads one file.
type inspector struct {
	*checker
	module   *ast.Module
	schema   *factNode // of input; nil when unknown
	packages map[string]bool
	facts    map[ast.Var]fact // what the variables of the present rule stand for
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
	kind, _ := packageKind(i.module.Package.Path)
	for _, rule := range i.module.Rules {
		i.facts = i.bindFacts(rule)
		if kind != kindLib {
			i.inspectHead(rule)
		}
		if kind == kindRules {
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

// inspectHead looks at the name of a rule, and at the member where it makes one.
func (i *inspector) inspectHead(rule *ast.Rule) {
	name := ruleName(rule)
	if !isSet(name) {
		i.inspectName(rule, name)
		return
	}
	if isMultiValue(rule) {
		i.inspectMember(policy.Set(name), rule, rule.Head.Key)
	}
	if rule.Else != nil {
		i.at(rule.Else.Location, "set_expected", "a rule of a set has no else")
	}
}

// otherWords are names that other tools give to what is a set here.
var otherWords = map[string]policy.Set{
	"veto": policy.SetHold, "deny": policy.SetHold, "block": policy.SetHold, "stop": policy.SetHold, "down": policy.SetHold,
	"want": policy.SetStart, "allow": policy.SetStart, "up": policy.SetStart, "warn": policy.SetAlarm, "alert": policy.SetAlarm,
	"ignore": policy.SetSkip, "exclude": policy.SetSkip, "waiver": policy.SetWaive, "environment": policy.SetEnv, "wait": policy.SetDelay,
}

// inspectName finds the rule that was meant to contribute: its name is near that
// of a set, and nobody else uses it.
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
	i.at(rule.Head.Location, "misspelt_set", "%q is no set, and nothing refers to it; did you mean %q?", name, meant)
}

// nearestSet is the set whose name has the same letters, else the nearest one.
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
	return policy.Set(nearest(name, strings.Split(setNames(), ", ")))
}

// refersTo says whether a rule of this or another file uses the name.
func (i *inspector) refersTo(name string) bool {
	own := i.module.Package.Path.String()
	for _, s := range i.sources {
		here := s.module == i.module
		found := false
		ast.WalkRefs(s.module, func(ref ast.Ref) bool {
			if head, ok := ref[0].Value.(ast.Var); ok && here && string(head) == name {
				found = true
			}
			found = found || strings.HasPrefix(ref.String(), own+"."+name)
			return found
		})
		for _, rule := range s.module.Rules {
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

// inspectMember looks at a member that is written out, in the head or as the value
// of a variable.
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
			hint := "have " + strings.Join(known, ", ")
			if near := nearest(string(key), known); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			i.at(k.Location, "member_unknown_key", "a member of %s has no key %q, %s", set, string(key), hint)
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
		i.at(location, "unknown_rule", "there is no rule package %q to waive%s", rule, didYouMean(rule, sortedKeys(i.packages)))
	}
}

func didYouMean(wrong string, words []string) string {
	if near := nearest(wrong, words); near != "" {
		return fmt.Sprintf(", did you mean %q?", near)
	}
	return ", have " + strings.Join(words, ", ")
}

// examples are good values for the keys whose values are not constants.
var examples = map[string]any{
	"profile": "coder", "reason": "why", "code": "word", "until": "2026-11-22T06:00:00Z", "rule": "\x00", "file": "gateway.pid",
	"name": "NAME", "value": "value", "state": "running", "migrated_from": "before", "seconds": json.Number("1"), "on_exhaustion": "hold", "hold_seconds": json.Number("60"),
	"budget": map[string]any{"deaths": 1, "window_seconds": 1}, "exit_codes": map[string]any{"78": "never"},
}

// plainOrExample returns the value where it is a constant, the type of a fact
// where it is one, else a value that is right.
func (i *inspector) plainOrExample(set policy.Set, key string, v *ast.Term) any {
	switch v.Value.(type) {
	case ast.String, ast.Number, ast.Boolean, ast.Null:
		if plain, err := plainValue(v.Value); err == nil {
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

// inspectDecisions finds the use of decisions before there are any.
func (i *inspector) inspectDecisions(rule *ast.Rule) {
	ast.WalkRefs(rule, func(ref ast.Ref) bool {
		if len(ref) > 1 && ref[0].Equal(ast.InputRootDocument) && ref[1].Equal(ast.StringTerm("decisions")) {
			i.at(ref[0].Location, "decisions_too_early", "there are no input.decisions yet when packages of reconcile.rules run")
		}
		return false
	})
}
