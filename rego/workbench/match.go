package workbench

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

// A Match is what a rule package says of a profile, and where each of its rules that says
// nothing stopped. `explain --rule --output json` prints it.
type Match struct {
	SchemaVersion policy.Version `json:"schema_version"`
	Profile       string         `json:"profile"`
	Rule          string         `json:"rule"`
	File          string         `json:"file"`
	Rules         []RuleMatch    `json:"rules"` // that add to sets, in the order of the text
}

// A RuleMatch is one rule of a package.
type RuleMatch struct {
	Set      string `json:"set"`
	Location string `json:"location"`
	// Says has the reasons of its contributions about the profile or the container.
	Says []string `json:"says"`
	// Stopped is the first expression that was false or undefined, at the best attempt. The
	// expressions in the helpers that made it so follow.
	Stopped []Stop   `json:"stopped"`
	Failure string   `json:"failure,omitempty"` // the rule broke
	Printed []string `json:"printed,omitempty"` // by print()
}

// A Stop is an expression that did not hold.
type Stop struct {
	Location   string  `json:"location"`
	Expression string  `json:"expression"`
	Undefined  bool    `json:"undefined"` // something in it is not there; else it is false
	Values     []Value `json:"values"`    // of what it reads
}

// A Value is one thing that an expression reads.
type Value struct {
	Name    string `json:"name"`
	Value   any    `json:"value,omitempty"`
	Present bool   `json:"present"`
}

// MatchOf looks at a rule package, whose name may be short, for one profile, rule by rule. It
// is not ok when none of the packages that count has the name. The output of
// print() is known if the policy was loaded with Options.Trace.
func MatchOf(ctx context.Context, e *rego.Evaluator, count []string, name string, in policy.Input, profile string) (m Match, ok bool, err error) {
	packages := e.Packages()
	at := slices.IndexFunc(packages, func(p rego.Package) bool { return isNamed(p.Name, name) && slices.Contains(count, p.Name) })
	if at < 0 {
		return m, false, nil
	}
	p := packages[at]
	document, err := rego.NewDocument(in)
	if err != nil {
		return m, true, err
	}
	m = Match{Profile: profile, Rule: p.Name, File: p.File, Rules: []RuleMatch{}}
	said := e.EvaluatePackage(ctx, p.Name, document)
	s := &stopper{rules: e, find: func(body ast.Body) (topdown.QueryResult, *policy.RuleFailure) {
		return e.First(ctx, p.Name, body, document, nil)
	}}
	for _, rule := range e.SetRules(p.Name) {
		r := RuleMatch{Set: rego.AsWritten(rego.RuleName(rule)), Location: rego.Place(rule.Location), Says: []string{}, Stopped: []Stop{}}
		for _, c := range said.Contributions {
			if c.Location == r.Location && string(c.Set) == r.Set && (c.Profile == profile || c.Profile == "") {
				r.Says = append(r.Says, c.Reason)
			}
		}
		if len(r.Says) == 0 {
			s.failure = ""
			stopped, _ := s.stop(bodyFor(rule, profile))
			r.Stopped, r.Failure = append(r.Stopped, stopped...), s.failure
		}
		prints := &rego.Prints{}
		_, _ = e.First(ctx, p.Name, bodyFor(rule, profile), document, func(q *topdown.Query) *topdown.Query { return q.WithPrintHook(prints) })
		r.Printed = prints.Lines
		m.Rules = append(m.Rules, r)
	}
	if len(m.Rules) == 0 { // it cannot be used
		for _, f := range said.Failures {
			m.Rules = append(m.Rules, RuleMatch{Location: f.Location, Says: []string{}, Stopped: []Stop{}, Failure: f.Error})
		}
	}
	return m, true, nil
}

// A stopper finds where bodies of compiled rules stop.
type stopper struct {
	rules   *rego.Evaluator
	find    func(ast.Body) (topdown.QueryResult, *policy.RuleFailure) // the first solution; nil: none
	failure string
}

// stop evaluates one expression of a body more each time. The compiler has put the expressions
// in an order that allows it. The first body without a solution ends with the expression at
// which the rule stopped, and index is how far it came.
func (s *stopper) stop(body ast.Body) (stopped []Stop, index int) {
	for i, expr := range body {
		found, failed := s.find(body[:i+1])
		if failed != nil {
			s.failure = strings.TrimPrefix(failed.Location+": "+failed.Error, ": ")
			return nil, i
		}
		if found == nil {
			return s.describe(body[:i], expr), i
		}
	}
	return nil, len(body)
}

// describe returns the expression that did not hold, what it read after the body before it,
// and where a helper stopped that has no value.
func (s *stopper) describe(before ast.Body, expr *ast.Expr) []Stop {
	stop := Stop{Location: rego.Place(expr.Location), Expression: textOf(expr.Location, expr), Values: []Value{}}
	var inner []Stop
	if expr.IsCall() && !expr.Negated {
		inner = s.helper(before, expr.Operator(), expr.Operands())
	}
	read := func(t *ast.Term) bool {
		switch t.Value.(type) {
		case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			return true
		case ast.Ref, ast.Var:
		default:
			return false
		}
		ref, isRef := t.Value.(ast.Ref)
		if isRef && strings.Contains(textOf(t.Location, t), "__local") { // it iterates
			t = ast.NewTerm(ref.GroundPrefix())
		}
		value := Value{Name: textOf(t.Location, t)}
		var known *ast.Term
		known, value.Present = s.value(before, t)
		if !value.Present && isRef {
			stop.Undefined = true
			inner = append(inner, s.helper(before, ref, nil)...)
		}
		if value.Present {
			if object, ok := known.Value.(ast.Object); ok && object.Len() > 0 { // all facts of a profile, for example
				return false
			}
			value.Value, _ = ast.JSON(known.Value)
		}
		if value.Present || isRef && len(inner) == 0 {
			stop.Values = append(stop.Values, value)
		}
		return false // there may be variables in a reference
	}
	for _, operand := range operands(expr) {
		ast.WalkTerms(operand, read)
	}
	stop.Undefined = stop.Undefined || len(inner) > 0
	return append([]Stop{stop}, inner...)
}

// operands are the terms of an expression without the name of what it calls.
func operands(expr *ast.Expr) []*ast.Term {
	if term, ok := expr.Terms.(*ast.Term); ok {
		return []*ast.Term{term}
	}
	return expr.Operands()
}

// value evaluates a term after a body.
func (s *stopper) value(before ast.Body, t *ast.Term) (*ast.Term, bool) {
	const name = ast.Var("value__")
	found, failed := s.find(bodyOf(before, ast.Equality.Expr(ast.NewTerm(name), t)))
	if failed != nil || found == nil {
		return nil, false
	}
	return found[name], found[name] != nil && found[name].IsGround()
}

// helper returns where the rules of a helper stopped, of several the one that came furthest.
// It is nil when the name is none of a helper. No rule of Rego leads back to itself.
func (s *stopper) helper(before ast.Body, name ast.Ref, arguments []*ast.Term) (furthest []Stop) {
	best := -1
	for _, rule := range s.rules.Helpers(name) {
		var body ast.Body
		for i, argument := range rule.Head.Args {
			if value, ok := s.value(before, arguments[i]); ok {
				body.Append(ast.Equality.Expr(argument, value))
			}
		}
		if stopped, at := s.stop(bodyOf(body, rule.Body...)); at > best {
			furthest, best = stopped, at
		}
	}
	return furthest
}

// bodyFor returns the body of a compiled rule, evaluated for one profile only: the variable
// that is the profile of its members has that value from the beginning. A rule whose members
// have no such variable is evaluated as it is.
func bodyFor(rule *ast.Rule, profile string) ast.Body {
	v := profileVariable(rule)
	if v == nil {
		return rule.Body
	}
	bound := ast.Equality.Expr(v, ast.StringTerm(profile))
	bound.Location = rule.Location
	return bodyOf(ast.NewBody(bound), rule.Body...)
}

// bodyOf returns a body with more expressions. It changes none of them.
func bodyOf(body ast.Body, more ...*ast.Expr) ast.Body {
	body = body.Copy()
	for _, expr := range more {
		body.Append(expr.Copy())
	}
	return body
}

// profileVariable finds the variable of {"profile": variable} in the head of a rule, or in
// its body, where the compiler puts the arguments of calls. It is nil if there is none.
func profileVariable(rule *ast.Rule) (found *ast.Term) {
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		member, ok := t.Value.(ast.Object)
		if !ok || found != nil {
			return found != nil
		}
		if value := member.Get(ast.StringTerm("profile")); value != nil {
			if _, isVar := value.Value.(ast.Var); isVar {
				found = ast.NewTerm(value.Value)
			}
		}
		return false
	})
	return found
}

// textOf is the text of a part of a rule in its file, on one line.
func textOf(at *ast.Location, part fmt.Stringer) string {
	text := part.String()
	if at != nil && len(at.Text) > 0 {
		text = string(at.Text)
	}
	return strings.Join(strings.Fields(rego.AsWritten(text)), " ")
}
