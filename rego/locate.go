package rego

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
)

// locatedPrefix begins the names of the rules that locate adds.
const locatedPrefix = "located__"

// AsWritten gives rules the names in a text that their author gave them.
func AsWritten(text string) string { return strings.ReplaceAll(text, locatedPrefix, "") }

// A rulePackage is a compiled rule package and the query that collects its
// contributions.
type rulePackage struct {
	name     string
	stage    policy.Stage
	layer    int
	query    ast.Body
	sets     []policy.Set
	rules    []located // by the index in the members
	warnOnly bool
}

// located is a rule that contributes to a set.
type located struct {
	place string   // file:row
	keys  []string // of its members, sorted; nil if only the evaluation knows them
}

// locate adds to a module a copy of every rule that contributes to a set. The members
// of the copy carry the index of the rule, and so its place:
//
//	hold contains x if …                  stays, for rules that refer to hold
//	located__hold contains [3, x] if …    is what the evaluator queries
//
// If x is written as an object, its values stand in the array in the order of its keys:
// an array takes half the memory.
//
// Without the copy, a member of a set does not tell which of several rules made it.
// Tracing would tell, at ten times the cost. The copy costs only its compilation,
// because OPA does not evaluate a set to which nothing refers. If nothing can refer to
// the sets of the package, locate changes the rules instead of copying them.
func locate(s Source, unreferred bool) rulePackage {
	p := rulePackage{name: s.Package(), stage: policy.Stage(s.Kind()), layer: s.Layer}
	have := map[policy.Set]bool{}
	for _, rule := range s.Module.Rules {
		name := RuleName(rule)
		if !IsSet(name) {
			continue
		}
		if !unreferred {
			rule = copied(rule)
			s.Module.Rules = append(s.Module.Rules, rule)
		}
		keys := addIndex(rule, len(p.rules))
		p.rules = append(p.rules, located{place: Place(rule.Location), keys: keys})
		have[policy.Set(name)] = true
	}
	for _, set := range policy.Sets {
		if !have[set] {
			continue
		}
		p.sets = append(p.sets, set)
		name := locatedPrefix + string(set)
		ref := append(append(ast.Ref{}, s.Module.Package.Path...), ast.StringTerm(name))
		p.query.Append(ast.Equality.Expr(ast.VarTerm(name), ast.NewTerm(ref)))
	}
	return p
}

func copied(rule *ast.Rule) *ast.Rule {
	c := rule.Copy()
	ast.WalkRules(c, func(r *ast.Rule) bool {
		r.Module = rule.Module
		return false
	})
	return c
}

// addIndex renames a rule and adds its index to its members. It returns the keys of the
// members if their values stand in the array one by one.
func addIndex(rule *ast.Rule, index int) (keys []string) {
	name := ast.Var(locatedPrefix + RuleName(rule))
	rule.Head.Name = name
	rule.Head.Reference = ast.Ref{ast.NewTerm(name)}
	keys, values := literal(rule.Head.Key)
	rule.Head.Key = ast.ArrayTerm(append([]*ast.Term{ast.IntNumberTerm(index)}, values...)...)
	rule.Head.Key.Location = rule.Head.Location
	return keys
}

// literal returns the keys and values of an object whose keys are all text. It returns
// anything else as one value, without keys.
func literal(member *ast.Term) (keys []string, values []*ast.Term) {
	object, ok := member.Value.(ast.Object)
	if !ok || object.Len() == 0 {
		return nil, []*ast.Term{member}
	}
	for _, key := range object.Keys() {
		text, ok := key.Value.(ast.String)
		if !ok {
			return nil, []*ast.Term{member}
		}
		keys = append(keys, string(text))
		values = append(values, object.Get(key))
	}
	return keys, values
}
