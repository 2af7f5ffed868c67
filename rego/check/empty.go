package check

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/rego"
)

// In Rego a collection over something undefined is empty, not undefined: "the list is
// not set" silently becomes "the list is empty". That matters only where the absence of
// a member counts. So a collection over a fact that may be absent is a finding if it is
// negated, counted or subtracted, and if no line before it tests the fact.

// comparisons are the operators that are undefined for an operand that is.
var comparisons = []string{"equal", "eq", "neq", "gt", "gte", "lt", "lte"}

// emptiness checks the collections that an expression of the body negates, counts or
// subtracts.
func (i *inspector) emptiness(e *ast.Expr, body ast.Body) {
	if e.IsCall() && e.Negated {
		if e.Operator().String() == "internal.member_2" {
			i.collection(e.Operand(1), body, "`not … in` holds for every profile")
		}
		i.negated(e.Operands(), body)
	} else if e.IsCall() && e.Operator().String() == "neq" {
		i.unequal(e, body)
	}
	eachCall(e, func(call []*ast.Term) {
		switch op := call[0].String(); {
		case op == "count" && len(call) == 2:
			i.collection(call[1], body, "the count is 0")
		case op == "minus" && len(call) == 3:
			i.collection(call[2], body, "nothing is taken away")
		}
	})
}

// negated checks what a call below a `not` needs: the compiler evaluates the operands before
// the `not`.
func (i *inspector) negated(operands []*ast.Term, body ast.Body) {
	for _, operand := range operands {
		if call, ok := operand.Value.(ast.Call); ok {
			i.negated(call[1:], body)
		} else if f, ok := i.absent(operand, body); ok {
			i.at(operand.Location, "negated_absence", "%s may be absent, and then the body ends here: nothing follows for that profile, whatever `not` suggests", f)
		}
	}
}

// unequal finds != for a fact that may be absent. The keys of an item of a list are there.
func (i *inspector) unequal(e *ast.Expr, body ast.Body) {
	others := slices.DeleteFunc(slices.Clone(body), e.Equal)
	for _, operand := range e.Operands() {
		if f, ok := i.absent(operand, others); ok && !slices.Contains(f.path[f.depth():], "*") {
			i.at(operand.Location, "unequal_absence", "%s may be absent, and then != has no result: the line does not mean what has none", f)
		}
	}
}

// collection checks a comprehension, or the variable or rule that stands for one.
func (i *inspector) collection(t *ast.Term, body ast.Body, then string) {
	switch v := t.Value.(type) {
	case ast.Var:
		if value, in := i.assigned(v); value != nil {
			i.comprehension(value, in, then)
		}
	case ast.Ref:
		for _, rule := range i.Module.Rules {
			own := i.Module.Package.Path.Append(ast.StringTerm(rego.RuleName(rule)))
			if !v.Equal(own) {
				continue
			}
			other := *i
			other.rule, other.scope = rule, rego.NewScope(rule, nil)
			if rego.IsMultiValue(rule) && !rego.IsSet(rego.RuleName(rule)) {
				other.domains(rule.Body, nil, then)
			} else if rule.Head.Value != nil {
				other.comprehension(rule.Head.Value, rule.Body, then)
			}
		}
	default:
		i.comprehension(t, body, then)
	}
}

func (i *inspector) comprehension(t *ast.Term, body ast.Body, then string) {
	switch c := t.Value.(type) {
	case *ast.SetComprehension:
		i.domains(c.Body, body, then)
	case *ast.ArrayComprehension:
		i.domains(c.Body, body, then)
	case *ast.ObjectComprehension:
		i.domains(c.Body, body, then)
	}
}

// domains finds the first `some … in <fact that may be absent>` of a collection that
// the body around the collection does not test.
func (i *inspector) domains(collected, around ast.Body, then string) {
	for _, e := range collected {
		some, ok := e.Terms.(*ast.SomeDecl)
		if !ok {
			continue
		}
		call, ok := some.Symbols[0].Value.(ast.Call)
		if !ok {
			continue
		}
		domain := call[len(call)-1]
		operands := []*ast.Term{domain}
		if made, ok := domain.Value.(ast.Call); ok { // as by split
			operands = made[1:]
		}
		for _, operand := range operands {
			if f, ok := i.absent(operand, around); ok {
				i.at(domain.Location, "maybe_undefined", "%s may be absent, and then the collection is empty and %s", f, then)
				return
			}
		}
	}
}

// absent returns the fact that a term stands for, if the fact may be absent and the body
// does not test it.
func (i *inspector) absent(t *ast.Term, body ast.Body) (fact, bool) {
	f, ok := i.resolve(t)
	return f, ok && f.mayBeAbsent() && !i.guarded(f, body)
}

// guarded reports whether a body refers to the fact, or to its status, on a line of its
// own.
func (i *inspector) guarded(f fact, body ast.Body) bool {
	status := append(slices.Clone(f.path[:f.depth()]), "status")
	return slices.ContainsFunc(body, func(e *ast.Expr) bool {
		terms := e.Operands()
		if alone, ok := e.Terms.(*ast.Term); ok {
			terms = []*ast.Term{alone}
		}
		return !e.Negated && slices.ContainsFunc(terms, func(t *ast.Term) bool {
			g, ok := i.resolve(t)
			return ok && (g.String() == f.String() || slices.Equal(g.path, status))
		})
	})
}
