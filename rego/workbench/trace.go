package workbench

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/print"

	"hermes-reconcile/rego"
)

// maxTrace limits how many steps of a trace are kept for one rule.
const maxTrace = 200_000

// steps returns what rules print() in an evaluation, and its steps.
func steps(evaluate func(observer func(*topdown.Query) *topdown.Query)) (lines []string, trace string) {
	kept, prints := &tracer{}, &printed{}
	evaluate(func(q *topdown.Query) *topdown.Query { return q.WithQueryTracer(kept).WithPrintHook(prints) })
	var text strings.Builder
	topdown.PrettyTraceWithLocation(&text, kept.events)
	if kept.dropped {
		text.WriteString("(the trace is longer than this)\n")
	}
	return prints.lines, rego.AsWritten(text.String())
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

// A tracer keeps the first steps of an evaluation.
type tracer struct {
	events  []*topdown.Event
	dropped bool
}

func (t *tracer) Enabled() bool               { return true }
func (t *tracer) Config() topdown.TraceConfig { return topdown.TraceConfig{PlugLocalVars: true} }

func (t *tracer) TraceEvent(event topdown.Event) {
	if t.dropped = len(t.events) == maxTrace; !t.dropped {
		t.events = append(t.events, &event)
	}
}

// printed keeps what rules print, without immediate repetitions.
type printed struct{ lines []string }

func (p *printed) Print(c print.Context, text string) error {
	line := rego.Place(c.Location) + ": " + text
	if len(p.lines) < maxTrace && !slices.Contains(p.lines[max(0, len(p.lines)-1):], line) {
		p.lines = append(p.lines, line)
	}
	return nil
}
