package workbench

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

// maxTrace limits how many steps of a trace are kept for one package.
const maxTrace = 200_000

// Trace evaluates the named rule packages once more and writes every step, except those
// about other profiles. The output of print() stands among the steps if the policy was
// loaded with Options.Trace. It is for people, and far slower than Evaluate.
func Trace(ctx context.Context, e *rego.Evaluator, rules []string, in policy.Input, profile string, w io.Writer) error {
	document, err := rego.NewDocument(in)
	if err != nil {
		return err
	}
	others := map[string]bool{}
	for name := range in.Profiles {
		others[name] = name != profile
	}
	for _, p := range e.Packages() {
		if !slices.Contains(rules, p.Name) {
			continue
		}
		if err := tracePackage(ctx, e, p.Name, document, others, w); err != nil {
			return err
		}
	}
	return nil
}

func tracePackage(ctx context.Context, e *rego.Evaluator, rule string, document rego.Document, others map[string]bool, w io.Writer) error {
	steps, prints := &tracer{}, &rego.Prints{}
	failed := e.Observe(ctx, rule, document, func(q *topdown.Query) *topdown.Query {
		return q.WithQueryTracer(steps).WithPrintHook(prints)
	})
	var text strings.Builder
	topdown.PrettyTraceWithLocation(&text, about(steps.events, others))
	out := "-- " + rule + "\n" + rego.AsWritten(text.String())
	if steps.dropped > 0 {
		out += "(the trace is longer than this)\n"
	}
	for _, line := range prints.Lines {
		out += "print " + line + "\n"
	}
	if failed != nil {
		out += "failed " + strings.TrimPrefix(failed.Location+": "+failed.Error, ": ") + "\n"
	}
	_, err := io.WriteString(w, out)
	return err
}

// about removes the steps in which a variable is another profile and no variable is the
// profile in question.
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
