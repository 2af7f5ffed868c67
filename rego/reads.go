package rego

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
)

// A Read is something that a rule reads: a path in the input document such as
// profiles, coder, prior_state, desired, or one in the settings.
type Read struct {
	Setting bool     // below data.settings, else below input
	Path    []string // ends before the first part that is not known beforehand
}

// Reads returns what a rule reads to make a contribution for a profile, from the
// text of the rule and of the helpers that it uses, in the order of the text. It is
// what the rule may look at: with these facts alone it comes to the same end. A
// contribution whose rule is not in this policy reads nothing.
func (e *Evaluator) Reads(c policy.Contribution, profile string) []Read {
	w := &readWalk{compiler: e.compiler, profile: profile, visited: map[*ast.Rule]bool{}}
	for _, module := range e.compiler.Modules {
		if packageName(module.Package.Path) != c.Rule {
			continue
		}
		for _, rule := range module.Rules {
			if strings.TrimPrefix(ruleName(rule), locatedPrefix) == string(c.Set) && place(rule.Location) == c.Location {
				w.rule(rule, nil)
			}
		}
	}
	return w.shortened()
}

func place(l *ast.Location) string {
	if l == nil {
		return ""
	}
	return l.File + ":" + ast.IntNumberTerm(l.Row).String()
}

// A readWalk follows the references of a rule through its local variables and
// helpers.
type readWalk struct {
	compiler *ast.Compiler
	profile  string
	visited  map[*ast.Rule]bool
	reads    []Read
}

// bindings are the variables of a rule that stand for a part of input.
type bindings map[ast.Var]ast.Ref

// rule walks a rule whose arguments stand for the given references.
func (w *readWalk) rule(rule *ast.Rule, arguments []ast.Ref) {
	if w.visited[rule] {
		return
	}
	w.visited[rule] = true
	bound := bindings{}
	for i, arg := range rule.Head.Args {
		if v, ok := arg.Value.(ast.Var); ok && i < len(arguments) && arguments[i] != nil {
			bound[v] = arguments[i]
		}
	}
	// The compiler may have put an expression before the one that binds its
	// variables; each round follows one link of a chain more.
	for range 4 {
		ast.WalkExprs(rule, func(expr *ast.Expr) bool {
			bound.learn(expr)
			return false
		})
	}
	w.references(rule, bound)
	for ; rule.Else != nil; rule = rule.Else {
		w.references(rule.Else, bound)
	}
}

// learn binds the variable of an equation whose other side is part of input.
func (b bindings) learn(expr *ast.Expr) {
	if !expr.IsEquality() && !expr.IsAssignment() {
		return
	}
	left, right := expr.Operand(0), expr.Operand(1)
	for _, side := range [][2]*ast.Term{{left, right}, {right, left}} {
		v, ok := side[0].Value.(ast.Var)
		if !ok {
			continue
		}
		if ref := b.resolve(side[1]); ref != nil && b[v] == nil {
			b[v] = ref
		}
	}
}

// resolve returns the reference that starts at input or data for which a term
// stands, or nil.
func (b bindings) resolve(t *ast.Term) ast.Ref {
	switch v := t.Value.(type) {
	case ast.Var:
		return b[v]
	case ast.Ref:
		if v[0].Equal(ast.InputRootDocument) || v.HasPrefix(settingsRef) {
			return v
		}
		if head, ok := v[0].Value.(ast.Var); ok && b[head] != nil {
			return append(slices.Clone(b[head]), v[1:]...)
		}
	}
	return nil
}

func (w *readWalk) references(rule *ast.Rule, bound bindings) {
	ast.WalkExprs(rule, func(expr *ast.Expr) bool {
		if expr.IsCall() {
			w.call(expr, bound)
		}
		return false
	})
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		ref, ok := t.Value.(ast.Ref)
		if !ok {
			return false
		}
		if resolved := bound.resolve(t); resolved != nil {
			w.add(resolved)
		} else if ref[0].Equal(ast.DefaultRootDocument) {
			for _, helper := range w.compiler.GetRules(ref.ConstantPrefix()) {
				w.rule(helper, nil)
			}
		}
		return false
	})
}

// call walks the helper function that an expression calls, with what it is given.
func (w *readWalk) call(expr *ast.Expr, bound bindings) {
	arguments := make([]ast.Ref, len(expr.Operands()))
	for i, operand := range expr.Operands() {
		arguments[i] = bound.resolve(operand)
	}
	for _, helper := range w.compiler.GetRules(expr.Operator()) {
		w.rule(helper, arguments)
	}
}

func (w *readWalk) add(ref ast.Ref) {
	r := Read{Setting: ref.HasPrefix(settingsRef)}
	rest := ref[1:]
	if r.Setting {
		rest = ref[2:]
	}
	for i, part := range rest {
		text, ok := part.Value.(ast.String)
		_, isVar := part.Value.(ast.Var)
		// The variable below input.profiles is the profile that is asked for.
		if !ok && isVar && i == 1 && !r.Setting && (r.Path[0] == "profiles" || r.Path[0] == "decisions") {
			text, ok = ast.String(w.profile), true
		}
		if !ok {
			break
		}
		r.Path = append(r.Path, string(text))
	}
	w.reads = append(w.reads, r)
}

// shortened leaves out what is there twice, and what only leads to something that
// is there.
func (w *readWalk) shortened() []Read {
	var reads []Read
	for i, r := range w.reads {
		leads := slices.ContainsFunc(w.reads, func(o Read) bool {
			return o.Setting == r.Setting && len(o.Path) > len(r.Path) && slices.Equal(o.Path[:len(r.Path)], r.Path)
		})
		twice := slices.ContainsFunc(w.reads[:i], func(o Read) bool { return o.Setting == r.Setting && slices.Equal(o.Path, r.Path) })
		if !leads && !twice && len(r.Path) > 0 && !(len(r.Path) <= 2 && r.Path[0] == "profiles") {
			reads = append(reads, r)
		}
	}
	return reads
}
