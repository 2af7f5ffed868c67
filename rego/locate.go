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
	rules []string     // file:row by the index that located members carry
	tried bool         // contributes without effect
	view  func() *view // what it may look at
}

// locate adds to a module, for every rule that contributes to a set, a copy
// whose members carry the rule's place:
//
//	hold contains x if …           stays, for whoever refers to hold
//	located__hold contains [3, x] if …    is what the evaluator asks for
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
		carryPlace(rule, len(p.rules))
		p.rules = append(p.rules, fmt.Sprintf("%s:%d", rule.Location.File, rule.Location.Row))
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

func carryPlace(rule *ast.Rule, index int) {
	name := ast.Var(locatedPrefix + ruleName(rule))
	rule.Head.Name = name
	rule.Head.Reference = ast.Ref{ast.NewTerm(name)}
	rule.Head.Key = ast.ArrayTerm(ast.IntNumberTerm(index), rule.Head.Key)
	rule.Head.Key.Location = rule.Head.Location
}
