package rego

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/print"

	"hermes-reconcile/policy"
)

// maxTrace bounds how many steps of a trace are kept for one package.
const maxTrace = 200_000

// traceSlowdown is how much longer an evaluation may take that is traced.
const traceSlowdown = 10

// Trace evaluates the named rule packages over the input document once more and
// writes every step that has to do with the profile: steps that are about another
// profile are left out. What the rules print() stands among them where the policy
// was loaded with Options.Print. It is far slower than Evaluate, and for people.
func (e *Evaluator) Trace(ctx context.Context, rules []string, in policy.Input, profile string, w io.Writer) error {
	document, err := inputTerm(in)
	if err != nil {
		return err
	}
	others := map[string]bool{}
	for name := range in.Profiles {
		others[name] = name != profile
	}
	slow := *e
	slow.timeout *= traceSlowdown
	for _, p := range e.packages {
		if !slices.Contains(rules, p.name) {
			continue
		}
		if err := slow.tracePackage(ctx, p, document, in.Now, others, w); err != nil {
			return err
		}
	}
	return nil
}

func (e *Evaluator) tracePackage(ctx context.Context, p rulePackage, document *ast.Term, now policy.Now, others map[string]bool, w io.Writer) error {
	steps := &tracer{}
	prints := &printed{}
	failed, _ := e.query(ctx, evaluation{of: p, document: document, now: now, observer: func(q *topdown.Query) *topdown.Query {
		return q.WithQueryTracer(steps).WithPrintHook(prints)
	}}, func(topdown.QueryResult) {})

	var text strings.Builder
	topdown.PrettyTraceWithLocation(&text, about(steps.events, others))
	out := "-- " + p.name + "\n" + strings.ReplaceAll(text.String(), locatedPrefix, "")
	if steps.dropped > 0 {
		out += "(the trace is longer than this)\n"
	}
	for _, line := range prints.lines {
		out += "print " + line + "\n"
	}
	if failed != nil {
		out += "broke " + strings.TrimPrefix(failed.Location+": "+failed.Error, ": ") + "\n"
	}
	_, err := io.WriteString(w, out)
	return err
}

// about leaves out the steps in which a variable is another profile and none is the
// one that is asked for.
func about(events []*topdown.Event, others map[string]bool) []*topdown.Event {
	return slices.DeleteFunc(events, func(event *topdown.Event) bool {
		other, this := false, false
		event.Locals.Iter(func(_, value ast.Value) bool {
			if text, ok := value.(ast.String); ok {
				if isOther, known := others[string(text)]; known {
					other, this = other || isOther, this || !isOther
				}
			}
			return false
		})
		return other && !this
	})
}

// A tracer keeps the first steps of an evaluation.
type tracer struct {
	events  []*topdown.Event
	dropped int
}

func (t *tracer) Enabled() bool               { return true }
func (t *tracer) Config() topdown.TraceConfig { return topdown.TraceConfig{PlugLocalVars: true} }

func (t *tracer) TraceEvent(event topdown.Event) {
	if len(t.events) == maxTrace {
		t.dropped++
		return
	}
	t.events = append(t.events, &event)
}

// printed keeps what rules print.
type printed struct{ lines []string }

func (p *printed) Print(c print.Context, text string) error {
	line := place(c.Location) + ": " + text
	if len(p.lines) < maxTrace && !slices.Contains(p.lines[max(0, len(p.lines)-1):], line) {
		p.lines = append(p.lines, line)
	}
	return nil
}
