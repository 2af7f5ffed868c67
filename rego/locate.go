package rego

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
)

// locatedPrefix begins the names of the rules that the loader adds.
const locatedPrefix = "located__"

// A rulePackage is a package with what is needed to query it.
type rulePackage struct {
	name  string
	stage policy.Stage
	layer int
	query ast.Body
	sets  []policy.Set
	rules []located    // by the index that located members carry
	tried bool         // contributes without effect
	view  func() *view // what it may look at
}

// located is a rule that contributes to a set.
type located struct {
	place string   // file:row
	keys  []string // of its members, sorted, or nil: they are not known beforehand
}

// locate adds to a module, for every rule that contributes to a set, a copy
// whose members carry the rule's place:
//
//	hold contains x if …           stays, for whoever refers to hold
//	located__hold contains [3, x] if …    is what the evaluator asks for
//
// Where x is written as an object, its values take its place, in the order of its
// keys, which are known: an array takes half the memory.
//
// A member of a set does not say which of several rules made it, and tracing
// would cost ten times the evaluation. The copy costs nothing but the time to
// compile it: a set to which nothing refers is not evaluated. Where it is known that
// nobody refers to the sets, the rules themselves are changed.
func locate(s source, unreferred bool) rulePackage {
	path := s.module.Package.Path
	kind, _ := packageKind(path)
	p := rulePackage{name: packageName(path), stage: policy.Stage(kind), layer: s.layer}
	have := map[policy.Set]bool{}
	for _, rule := range s.module.Rules {
		name := ruleName(rule)
		if !isSet(name) {
			continue
		}
		if !unreferred {
			rule = copied(rule)
			s.module.Rules = append(s.module.Rules, rule)
		}
		keys := carryPlace(rule, len(p.rules))
		p.rules = append(p.rules, located{place: fmt.Sprintf("%s:%d", rule.Location.File, rule.Location.Row), keys: keys})
		have[policy.Set(name)] = true
	}
	for _, set := range policy.Sets {
		if !have[set] {
			continue
		}
		p.sets = append(p.sets, set)
		name := locatedPrefix + string(set)
		ref := append(append(ast.Ref{}, path...), ast.StringTerm(name))
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

// carryPlace lets the members of a rule carry its index, and returns their keys where
// their values stand beside it.
func carryPlace(rule *ast.Rule, index int) (keys []string) {
	name := ast.Var(locatedPrefix + ruleName(rule))
	rule.Head.Name = name
	rule.Head.Reference = ast.Ref{ast.NewTerm(name)}
	keys, values := literal(rule.Head.Key)
	rule.Head.Key = ast.ArrayTerm(append([]*ast.Term{ast.IntNumberTerm(index)}, values...)...)
	rule.Head.Key.Location = rule.Head.Location
	return keys
}

// literal returns the keys and values of an object that has texts for keys. Anything
// else is one value, without keys.
func literal(member *ast.Term) (keys []string, values []*ast.Term) {
	object, ok := member.Value.(ast.Object)
	if !ok {
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
	if len(keys) == 0 {
		return nil, []*ast.Term{member}
	}
	return keys, values
}
