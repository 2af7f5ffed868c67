package rego

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
)

// A Scope knows which local variables of one rule stand for a part of input or of
// data.settings. It understands rules as they are parsed and as they are compiled.
type Scope struct {
	refs      map[ast.Var]ast.Ref
	ambiguous map[ast.Var]bool // variables that stand for different things
}

// NewScope follows the variables of a rule. If arguments are given, they are what the
// arguments of the rule stand for; nil is unknown.
func NewScope(rule *ast.Rule, arguments []ast.Ref) Scope {
	s := Scope{map[ast.Var]ast.Ref{}, map[ast.Var]bool{}}
	for i, arg := range rule.Head.Args {
		if i < len(arguments) {
			s.bind(arg, arguments[i])
		}
	}
	// The compiler may put an expression before the one that binds its variables. Each
	// round follows a chain of variables one link further.
	for range 4 {
		s.learn(rule, false)
	}
	s.learn(rule, true)
	return s
}

// learn binds the variables of a rule. In the last round, a variable that is also
// assigned something unknown becomes ambiguous: before compilation, variables of
// different comprehensions may have the same name.
func (s Scope) learn(rule *ast.Rule, last bool) {
	assign := func(v *ast.Term, ref ast.Ref) {
		if ref != nil || last {
			s.bind(v, ref)
		}
	}
	ast.WalkExprs(rule, func(e *ast.Expr) bool {
		switch terms := e.Terms.(type) {
		case *ast.SomeDecl:
			if call, ok := terms.Symbols[0].Value.(ast.Call); ok && len(call) >= 3 {
				assign(call[len(call)-2], s.element(call[len(call)-1]))
			}
		case *ast.Every:
			assign(terms.Value, s.element(terms.Domain))
		case []*ast.Term:
			switch {
			case e.IsAssignment():
				assign(e.Operand(0), s.Resolve(e.Operand(1)))
			case e.IsEquality():
				s.equate(e.Operand(0), e.Operand(1))
				s.equate(e.Operand(1), e.Operand(0))
			}
		}
		return false
	})
}

// equate binds a variable of an equation, unless it is bound: then the equation
// compares.
func (s Scope) equate(v, value *ast.Term) {
	if name, ok := v.Value.(ast.Var); ok && s.refs[name] == nil {
		if ref := s.Resolve(value); ref != nil {
			s.bind(v, ref)
		}
	}
}

func (s Scope) bind(v *ast.Term, ref ast.Ref) {
	name, ok := v.Value.(ast.Var)
	if !ok || name.IsWildcard() || s.ambiguous[name] {
		return
	}
	if old := s.refs[name]; old != nil && !old.Equal(ref) {
		s.ambiguous[name] = true
		delete(s.refs, name)
	} else if ref != nil {
		s.refs[name] = ref
	}
}

// element returns the reference to any element of a domain.
func (s Scope) element(domain *ast.Term) ast.Ref {
	if ref := s.Resolve(domain); ref != nil {
		return ref.Append(ast.VarTerm("each"))
	}
	return nil
}

// Resolve returns the reference below input or data.settings for which a term stands,
// or nil.
func (s Scope) Resolve(t *ast.Term) ast.Ref {
	if t == nil { // an operand that is missing
		return nil
	}
	switch v := t.Value.(type) {
	case ast.Var:
		return s.refs[v]
	case ast.Ref:
		if v[0].Equal(ast.InputRootDocument) || v.HasPrefix(SettingsRef) {
			return v
		}
		if head, ok := v[0].Value.(ast.Var); ok && s.refs[head] != nil {
			return append(slices.Clone(s.refs[head]), v[1:]...)
		}
	}
	return nil
}

// Reads returns what a rule reads to make a contribution for a profile, in the order of
// the text of the rule and of its helpers. The rule may look at nothing else: with
// these facts alone it makes the same contribution. The result is empty if the rule is
// not in this policy.
func (e *Evaluator) Reads(c policy.Contribution, profile string) []policy.Read {
	w := &readWalk{compiler: e.compiler, profile: profile, visited: map[string]bool{}}
	for _, rule := range e.rulesOf(c.Rule) {
		if strings.TrimPrefix(RuleName(rule), locatedPrefix) == string(c.Set) && Place(rule.Location) == c.Location {
			w.rule(rule, nil)
		}
	}
	return w.shortest()
}

// rulesOf returns the compiled rules of a package.
func (e *Evaluator) rulesOf(name string) (rules []*ast.Rule) {
	for _, module := range e.compiler.Modules {
		if PackageName(module.Package.Path) == name {
			rules = append(rules, module.Rules...)
		}
	}
	return rules
}

// A readWalk collects the references of a rule and of the helpers that it uses.
type readWalk struct {
	compiler *ast.Compiler
	profile  string
	visited  map[string]bool // rules with their arguments
	reads    []policy.Read
	settings map[string]any // whose value is known in a path
	external bool           // a rule has the name of the external facts somewhere
}

// rule walks a rule whose arguments stand for the given references.
func (w *readWalk) rule(rule *ast.Rule, arguments []ast.Ref) {
	visit := fmt.Sprintf("%p %v", rule, arguments)
	if w.visited[visit] {
		return
	}
	w.visited[visit] = true
	for ; rule != nil; rule = rule.Else {
		w.references(rule, NewScope(rule, arguments))
	}
}

func (w *readWalk) references(rule *ast.Rule, scope Scope) {
	alone := *rule
	alone.Else = nil // it has a scope of its own
	ast.WalkExprs(&alone, func(expr *ast.Expr) bool {
		if expr.IsCall() {
			w.call(expr, scope)
		}
		return false
	})
	ast.WalkTerms(&alone, func(t *ast.Term) bool {
		w.external = w.external || t.Value.Compare(externalName) == 0
		ref, ok := t.Value.(ast.Ref)
		if !ok {
			return false
		}
		if resolved := scope.Resolve(t); resolved != nil {
			w.add(resolved, scope)
		} else if ref[0].Equal(ast.DefaultRootDocument) && !w.isFunction(ref) {
			for _, helper := range w.compiler.GetRules(ref.ConstantPrefix()) {
				w.rule(helper, nil)
			}
		}
		return false
	})
}

// isFunction reports whether a reference is to a function, which is walked where it is
// called.
func (w *readWalk) isFunction(ref ast.Ref) bool {
	rules := w.compiler.GetRulesExact(ref)
	return len(rules) > 0 && len(rules[0].Head.Args) > 0
}

// call walks a function of the rules with the arguments of the call.
func (w *readWalk) call(expr *ast.Expr, scope Scope) {
	arguments := make([]ast.Ref, len(expr.Operands()))
	for i, operand := range expr.Operands() {
		arguments[i] = scope.Resolve(operand)
	}
	for _, helper := range w.compiler.GetRules(expr.Operator()) {
		w.rule(helper, arguments)
	}
}

func (w *readWalk) add(ref ast.Ref, scope Scope) {
	r := policy.Read{Setting: ref.HasPrefix(SettingsRef)}
	rest := ref[1:]
	if r.Setting {
		rest = ref[2:]
	}
	for i, part := range rest {
		text, ok := part.Value.(ast.String)
		_, isVar := part.Value.(ast.Var)
		// A variable below input.profiles is the profile in question.
		if !ok && isVar && i == 1 && !r.Setting && (r.Path[0] == "profiles" || r.Path[0] == "decisions") {
			text, ok = ast.String(w.profile), true
		}
		if setting := scope.Resolve(part); !ok && setting.HasPrefix(SettingsRef) && len(setting) == 3 {
			var value string
			key, _ := setting[2].Value.(ast.String)
			value, ok = w.settings[string(key)].(string)
			text = ast.String(value)
		}
		if !ok {
			break
		}
		r.Path = append(r.Path, string(text))
	}
	w.reads = append(w.reads, r)
}

// shortest leaves out repetitions, and paths that only lead to longer ones.
func (w *readWalk) shortest() []policy.Read {
	var reads []policy.Read
	for i, r := range w.reads {
		leads := slices.ContainsFunc(w.reads, func(o policy.Read) bool {
			return o.Setting == r.Setting && len(o.Path) > len(r.Path) && slices.Equal(o.Path[:len(r.Path)], r.Path)
		})
		twice := slices.ContainsFunc(w.reads[:i], func(o policy.Read) bool { return o.Setting == r.Setting && slices.Equal(o.Path, r.Path) })
		if !leads && !twice && len(r.Path) > 0 && !(len(r.Path) <= 2 && r.Path[0] == "profiles") {
			reads = append(reads, r)
		}
	}
	return reads
}

var externalName = ast.String(policy.ExternalFact)

// findExternal fills in Package.External. A package that a search for references does not
// understand, and that has the name of the external facts somewhere, reads those of any plug-in.
func (e *Evaluator) findExternal(sources []Source) {
	if !slices.ContainsFunc(sources, func(s Source) bool { return s.Layer > 0 && bytes.Contains(s.Text, []byte(policy.ExternalFact)) }) {
		return
	}
	for i, p := range e.packages {
		decides := slices.ContainsFunc(p.sets, func(s policy.Set) bool {
			return s == policy.SetStart || s == policy.SetHold || s == policy.SetSkip || s == policy.SetWaive
		})
		if p.WarnOnly || !decides {
			continue
		}
		w := &readWalk{compiler: e.compiler, visited: map[string]bool{}, settings: e.settings}
		for _, rule := range e.rulesOf(p.Name) {
			w.rule(rule, nil)
		}
		var plugins []string
		for _, r := range w.shortest() {
			if plugin, ok := pluginOf(r); ok {
				plugins = append(plugins, plugin)
			}
		}
		if len(plugins) == 0 && w.external {
			plugins = []string{policy.AnyPlugin}
		}
		slices.Sort(plugins)
		// A setting that names no plug-in is empty.
		e.packages[i].External = slices.DeleteFunc(slices.Compact(plugins), func(name string) bool { return name == "" })
	}
}

// pluginOf returns the plug-in whose facts a read is of.
func pluginOf(r policy.Read) (plugin string, ok bool) {
	at := 1 + slices.Index([]string{"container", "profiles"}, r.Path[0]) // of the name of the fact
	switch {
	case r.Setting || at == 0 || len(r.Path) <= at || r.Path[at] != policy.ExternalFact:
		return "", false
	case len(r.Path) < at+3:
		return policy.AnyPlugin, true
	}
	return r.Path[at+2], true
}
