package workbench

import (
	"context"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/print"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

// maxTrace limits how many steps of a trace are kept for one rule.
const maxTrace = 200_000

// Trace evaluates the named rule packages once more for one profile, rule by rule, and
// returns every step. The output of print() follows the steps of its rule if the policy was
// loaded with Options.Trace. It is for people, and far slower than Evaluate.
func Trace(ctx context.Context, e *rego.Evaluator, rules []string, in policy.Input, profile string) (string, error) {
	document, err := rego.NewDocument(in)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, p := range e.Packages() {
		if !slices.Contains(rules, p.Name) {
			continue
		}
		out.WriteString("-- " + p.Name + "\n")
		for _, rule := range e.SetRules(p.Name) {
			traceRule(ctx, e, p.Name, rule, document, profile, &out)
		}
	}
	return rego.AsWritten(out.String()), nil
}

func traceRule(ctx context.Context, e *rego.Evaluator, name string, rule *ast.Rule, document rego.Document, profile string, out *strings.Builder) {
	steps, prints := &tracer{}, &printed{}
	failed := e.ObserveBody(ctx, name, bodyFor(rule, profile), document, func(q *topdown.Query) *topdown.Query {
		return q.WithQueryTracer(steps).WithPrintHook(prints)
	})
	topdown.PrettyTraceWithLocation(out, steps.events)
	if steps.dropped {
		out.WriteString("(the trace is longer than this)\n")
	}
	for _, line := range prints.lines {
		out.WriteString("print " + line + "\n")
	}
	if failed != nil {
		out.WriteString("failed " + strings.TrimPrefix(failed.Location+": "+failed.Error, ": ") + "\n")
	}
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
