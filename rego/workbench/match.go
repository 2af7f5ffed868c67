package workbench

import (
	"context"
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
	SchemaVersion int         `json:"schema_version"`
	Profile       string      `json:"profile"`
	Rule          string      `json:"rule"`
	File          string      `json:"file"`
	Rules         []RuleMatch `json:"rules"` // that add to sets, in the order of the text
}

// A RuleMatch is one rule of a package.
type RuleMatch struct {
	Set      string `json:"set"`
	Location string `json:"location"`
	// Says has the reasons of its contributions about the profile or the container.
	Says []string `json:"says"`
	// Stopped is the first expression that was false or undefined, at the best attempt. The
	// expressions in the helpers that made it so follow.
	Stopped []Stop `json:"stopped"`
	Failure string `json:"failure,omitempty"` // the rule broke
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

// MatchOf evaluates a rule package, whose name may be short, once more for one profile, rule
// by rule. It is not ok when none of the packages that count has the name.
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
	m = Match{SchemaVersion: policy.SchemaVersion, Profile: profile, Rule: p.Name, File: p.File, Rules: []RuleMatch{}}
	said := e.EvaluatePackage(ctx, p.Name, document)
	for _, rule := range e.SetRules(p.Name) {
		r := RuleMatch{Set: rego.AsWritten(rego.RuleName(rule)), Location: rego.Place(rule.Location), Says: []string{}, Stopped: []Stop{}}
		for _, c := range said.Contributions {
			if c.Location == r.Location && string(c.Set) == r.Set && (c.Profile == profile || c.Profile == "") {
				r.Says = append(r.Says, c.Reason)
			}
		}
		if len(r.Says) == 0 {
			r.stop(ctx, e, p.Name, rule, document, profile)
		}
		m.Rules = append(m.Rules, r)
	}
	if len(m.Rules) == 0 { // it cannot be used
		for _, f := range said.Failures {
			m.Rules = append(m.Rules, RuleMatch{Location: f.Location, Says: []string{}, Stopped: []Stop{}, Failure: f.Error})
		}
	}
	return m, true, nil
}

// stop finds where the rule stopped for the profile.
func (r *RuleMatch) stop(ctx context.Context, e *rego.Evaluator, name string, rule *ast.Rule, document rego.Document, profile string) {
	w := &stopTracer{queries: map[uint64]*queryTrace{}}
	failed := e.ObserveBody(ctx, name, bodyFor(rule, profile), document, func(q *topdown.Query) *topdown.Query {
		return q.WithQueryTracer(w).WithIndexing(false) // an index leaves out rules without a step
	})
	if failed != nil {
		r.Failure = strings.TrimPrefix(failed.Location+": "+failed.Error, ": ")
		return
	}
	reader := valueReader{document: document.Term().Value, settings: e.Settings()}
	for at := w.deepest(); at != nil; at = at.inner {
		r.Stopped = append(r.Stopped, reader.stop(at))
	}
}

// A failedStep is an expression that was false or undefined.
type failedStep struct {
	*topdown.Event
	expr  *ast.Expr
	body  ast.Body    // that it is in
	inner *failedStep // in a helper that the expression calls
}

// A queryTrace is what the tracer knows of the evaluation of one body.
type queryTrace struct {
	body   ast.Body
	isRule bool        // not a comprehension or the like
	best   *failedStep // the one that came furthest
	inner  *failedStep // of the helpers of the present expression
	done   bool        // a helper of the present expression had a value
}

// A stopTracer finds the expression at which a body stopped.
type stopTracer struct {
	queries map[uint64]*queryTrace
	root    *queryTrace
}

func (t *stopTracer) Enabled() bool               { return true }
func (t *stopTracer) Config() topdown.TraceConfig { return topdown.TraceConfig{PlugLocalVars: true} }

func (t *stopTracer) query(id uint64) *queryTrace {
	q := t.queries[id]
	if q == nil {
		q = &queryTrace{}
		t.queries[id] = q
	}
	return q
}

func (t *stopTracer) TraceEvent(event topdown.Event) {
	q, parent := t.query(event.QueryID), t.query(event.ParentID)
	if t.root == nil {
		t.root = q
	}
	expr, _ := event.Node.(*ast.Expr)
	switch {
	case event.Op == topdown.EnterOp:
		var rule *ast.Rule
		if rule, q.isRule = event.Node.(*ast.Rule); q.isRule {
			q.body = rule.Body
		} else {
			q.body, _ = event.Node.(ast.Body)
		}
	case event.Op == topdown.ExitOp && q.isRule:
		parent.done = true
	case event.Op == topdown.EvalOp:
		q.inner, q.done = nil, false
	case event.Op == topdown.FailOp && expr != nil:
		failed := &failedStep{Event: &event, expr: expr, body: q.body}
		if !q.done && !expr.Negated {
			failed.inner = q.inner
		}
		further := func(than *failedStep) bool { return than == nil || expr.Index > than.expr.Index }
		if further(q.best) {
			q.best = failed
		}
		if q.isRule && further(parent.inner) {
			parent.inner = failed
		}
	}
}

func (t *stopTracer) deepest() *failedStep {
	if t.root == nil {
		return nil
	}
	return t.root.best
}

// A valueReader looks up what expressions read.
type valueReader struct {
	document ast.Value
	settings map[string]any
}

func (v valueReader) stop(at *failedStep) Stop {
	s := Stop{Location: rego.Place(at.Location), Expression: textOf(at.expr), Values: []Value{}}
	if at.inner != nil { // which has the values
		s.Undefined = true
		return s
	}
	ast.WalkTerms(at.expr, func(t *ast.Term) bool {
		switch value := t.Value.(type) {
		case ast.Ref:
			v.read(&s, at, value)
			return true
		case ast.Var:
			v.variable(&s, at, value)
		}
		return false
	})
	return s
}

// read adds the value of a reference, as far as its path is known.
func (v valueReader) read(s *Stop, at *failedStep, ref ast.Ref) {
	var whole ast.Value
	name, path := "", ref[1:]
	head, _ := ref[0].Value.(ast.Var)
	switch {
	case ref[0].Equal(ast.InputRootDocument):
		whole, name = v.document, "input"
	case ref.HasPrefix(rego.SettingsRef):
		whole, name, path = v.setting(), "data.settings", ref[2:]
	default:
		if whole, name = at.Locals.Get(head), v.nameOf(at, head); whole == nil {
			return // a helper, or a builtin
		}
	}
	for _, part := range path {
		key := part.Value
		if variable, ok := key.(ast.Var); ok {
			if key = at.Locals.Get(variable); key == nil {
				break // it iterates
			}
		}
		name += shownKey(key)
		below, err := whole.Find(ast.Ref{ast.NewTerm(key)})
		if err != nil {
			s.Undefined = true
			s.add(Value{Name: name})
			return
		}
		whole = below
	}
	s.known(name, whole)
}

func (v valueReader) setting() ast.Value {
	value, err := ast.InterfaceToValue(v.settings)
	if err != nil {
		return ast.NewObject()
	}
	return value
}

// variable adds the value of a variable that stands alone. An object, such as all facts of a
// profile, says little about the expression.
func (v valueReader) variable(s *Stop, at *failedStep, variable ast.Var) {
	value := at.Locals.Get(variable)
	if _, isObject := value.(ast.Object); value != nil && !isObject {
		s.known(v.nameOf(at, variable), value)
	}
}

// nameOf returns the name that an author gave a variable. One of the compiler has the text
// of what it stands for.
func (v valueReader) nameOf(at *failedStep, variable ast.Var) string {
	if meta, ok := at.LocalMetadata[variable]; ok && !meta.Name.IsGenerated() && meta.Name != "" && !strings.HasPrefix(string(meta.Name), "__local") {
		return string(meta.Name)
	}
	for _, expr := range at.body {
		if expr.IsEquality() && expr.Operand(0).Value.Compare(variable) == 0 {
			return textOf(expr)
		}
		if n := len(expr.Operands()); expr.IsCall() && n > 0 && expr.Operand(n-1).Value.Compare(variable) == 0 {
			return textOf(expr)
		}
	}
	return ""
}

// known adds a value that is there. A value of the compiler without a name is left out.
func (s *Stop) known(name string, value ast.Value) {
	plain, err := ast.JSON(value)
	if err == nil && name != "" {
		s.add(Value{Name: name, Value: plain, Present: true})
	}
}

func (s *Stop) add(value Value) {
	if !slices.ContainsFunc(s.Values, func(o Value) bool { return o.Name == value.Name }) {
		s.Values = append(s.Values, value)
	}
}

// shownKey is a part of a reference as an author writes it.
func shownKey(key ast.Value) string {
	if text, ok := key.(ast.String); ok && ast.IsVarCompatibleString(string(text)) {
		return "." + string(text)
	}
	return "[" + key.String() + "]"
}

// textOf is the text of an expression in its file, on one line.
func textOf(expr *ast.Expr) string {
	text := expr.String()
	if expr.Location != nil && len(expr.Location.Text) > 0 {
		text = string(expr.Location.Text)
	}
	return strings.Join(strings.Fields(rego.AsWritten(text)), " ")
}
