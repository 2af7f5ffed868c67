package check

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/rego"
)

// In Rego a collection over something undefined is empty, not undefined: "the list is
// not set" silently becomes "the list is empty". That matters only where the absence of
// a member counts. So a collection over a fact that may be absent is a finding if it is
// negated, counted or subtracted, and if no line before it tests the fact.

// An emptiable is a collection that is empty when a fact is absent.
type emptiable struct {
	location *ast.Location
	fact     fact
}

// findEmptiables remembers the variables and rules whose value is such a collection, and
// reports the collections that are negated or counted where they are written.
func (i *inspector) findEmptiables(rule *ast.Rule) {
	scope := rule.Body
	if rego.IsMultiValue(rule) && !rego.IsSet(rego.RuleName(rule)) {
		if e := i.emptyDomain(rule.Body, nil); e != nil {
			i.empties[rego.RuleName(rule)] = e
		}
	}
	if rule.Head.Value != nil {
		if e := i.emptiable(rule.Head.Value, scope); e != nil {
			i.empties[rego.RuleName(rule)] = e
		}
	}
	ast.WalkBodies(rule, func(body ast.Body) bool {
		for _, e := range body {
			if e.IsAssignment() {
				if empty := i.emptiable(e.Operand(1), body); empty != nil {
					i.empties[e.Operand(0).String()] = empty
				}
			}
			i.inspectUse(e, body)
		}
		return false
	})
}

// emptiable returns what may be absent if the term is a comprehension, or nil.
func (i *inspector) emptiable(t *ast.Term, scope ast.Body) *emptiable {
	if t == nil {
		return nil
	}
	switch c := t.Value.(type) {
	case *ast.SetComprehension:
		return i.emptyDomain(c.Body, scope)
	case *ast.ArrayComprehension:
		return i.emptyDomain(c.Body, scope)
	case *ast.ObjectComprehension:
		return i.emptyDomain(c.Body, scope)
	}
	return nil
}

// emptyDomain finds an unguarded `some … in <fact that may be absent>` in the body of a
// collection.
func (i *inspector) emptyDomain(body, scope ast.Body) *emptiable {
	for _, e := range body {
		some, ok := e.Terms.(*ast.SomeDecl)
		if !ok {
			continue
		}
		call, ok := some.Symbols[0].Value.(ast.Call)
		if !ok {
			continue
		}
		domain := call[len(call)-1]
		if f, ok := i.absentIn(domain); ok && !i.guarded(f, scope) {
			return &emptiable{domain.Location, f}
		}
	}
	return nil
}

// absentIn returns the fact that may be absent in a domain: the domain itself, or
// an operand of the call that makes it, such as split.
func (i *inspector) absentIn(domain *ast.Term) (fact, bool) {
	operands := []*ast.Term{domain}
	if call, ok := domain.Value.(ast.Call); ok {
		operands = call[1:]
	}
	for _, t := range operands {
		if f, ok := i.resolve(t); ok && f.mayBeAbsent() {
			return f, true
		}
	}
	return fact{}, false
}

// guarded reports whether a body refers to the fact, or to its status, on a line of its
// own.
func (i *inspector) guarded(f fact, scope ast.Body) bool {
	key, _ := f.key()
	for _, e := range scope {
		if e.Negated {
			continue
		}
		found := false
		check := func(t *ast.Term) {
			g, ok := i.resolve(t)
			if !ok {
				return
			}
			own, _ := g.key()
			found = found || g.String() == f.String() || own == key && g.path[len(g.path)-1] == "status"
		}
		switch terms := e.Terms.(type) {
		case *ast.Term:
			check(terms)
		case []*ast.Term:
			for _, t := range terms[1:] {
				check(t)
			}
		}
		if found {
			return true
		}
	}
	return false
}

// inspectUse finds such a collection that an expression negates or counts.
func (i *inspector) inspectUse(e *ast.Expr, scope ast.Body) {
	if e.Negated && e.IsCall() && e.Operator().String() == "internal.member_2" {
		collection := e.Operand(1)
		if f, ok := i.resolve(collection); ok && f.mayBeAbsent() && !i.guarded(f, scope) {
			i.reportEmpty(&emptiable{collection.Location, f}, "`not … in` holds for everybody")
		}
		i.reportEmpty(i.emptiable(collection, scope), "`not … in` holds for everybody")
	}
	ast.WalkTerms(e, func(t *ast.Term) bool {
		if collection, then := sensitive(t); collection != nil {
			i.reportEmpty(i.emptiable(collection, scope), then)
		}
		return false
	})
}

// sensitive returns the collection of a call whose result is wrong if the collection is
// empty, and how.
func sensitive(t *ast.Term) (collection *ast.Term, then string) {
	call, ok := t.Value.(ast.Call)
	if !ok {
		return nil, ""
	}
	switch op := call[0].String(); {
	case op == "count" && len(call) == 2:
		return call[1], "the count is 0"
	case op == "minus" && len(call) == 3:
		return call[2], "nothing is taken away"
	}
	return nil, ""
}

func (i *inspector) reportEmpty(e *emptiable, then string) {
	if e != nil {
		i.at(e.location, "maybe_undefined", "%s may be absent, and then the collection is empty and %s", e.fact, then)
	}
}

// inspectEmptiables finds the remembered names that are negated or counted.
func (i *inspector) inspectEmptiables() {
	if len(i.empties) == 0 {
		return
	}
	ast.WalkExprs(i.Module, func(e *ast.Expr) bool {
		if e.Negated && e.IsCall() && e.Operator().String() == "internal.member_2" {
			i.reportEmpty(i.empties[e.Operand(1).String()], "`not … in` holds for everybody")
		}
		ast.WalkTerms(e, func(t *ast.Term) bool {
			if collection, then := sensitive(t); collection != nil {
				i.reportEmpty(i.empties[collection.String()], then)
			}
			return false
		})
		return false
	})
}
