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

// A Package is a rule package of a policy.
type Package struct {
	Name     string
	Stage    policy.Stage
	Layer    int  // see policy.Contribution
	WarnOnly bool // it has no effect (enforce: warn)
	File     string
	Order    float64  // see Describe
	External []string // see policy.Status; only of a package that decides
}

// Belongs reports whether a package is of a stage, or has that name.
func (p Package) Belongs(stage policy.Stage) bool { return p.Stage == stage || p.Name == string(stage) }

// A rulePackage is a compiled rule package and the query that collects its
// contributions.
type rulePackage struct {
	Package
	query  ast.Body
	sets   []policy.Set
	places []string // file:row of the rules, by the index in the members

	failures []policy.RuleFailure // why it cannot be used
}

// locate adds to a module a copy of every rule that contributes to a set. The members
// of the copy carry the index of the rule, and so its place:
//
//	hold contains x if …                  stays, for rules that refer to hold
//	located__hold contains [3, x] if …    is what the evaluator queries
//
// Without the copy, a member of a set does not tell which of several rules made it.
// Tracing would tell, at ten times the cost. The copy costs only its compilation,
// because OPA does not evaluate a set to which nothing refers. If nothing can refer to
// the sets of the package, locate changes the rules instead of copying them.
func locate(s Source, unreferred bool) rulePackage {
	p := rulePackage{Package: Package{Name: s.Package(), Stage: policy.Stage(s.Kind()), Layer: s.Layer, File: s.Name, Order: orderOf(s)}}
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
		addIndex(rule, len(p.places))
		p.places = append(p.places, Place(rule.Location))
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

// addIndex renames a rule and adds its index to its members.
func addIndex(rule *ast.Rule, index int) {
	name := ast.Var(locatedPrefix + RuleName(rule))
	rule.Head.Name = name
	rule.Head.Reference = ast.Ref{ast.NewTerm(name)}
	rule.Head.Key = ast.ArrayTerm(ast.IntNumberTerm(index), rule.Head.Key)
	rule.Head.Key.Location = rule.Head.Location
}
