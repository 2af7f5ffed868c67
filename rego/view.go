package rego

import (
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A view is what a rule package may look at in one place of the input document.
// Most of a large document is nothing that a given package looks at: without it
// profiles are small, and many of them are equal. Outside of a view nothing that a
// package does can tell whether a value is there.
type view struct {
	whole bool             // everything from here on
	keys  map[string]*view // below these keys
	each  *view            // below every key or index; those of keys have it in theirs too
}

var everything = &view{whole: true}

// below is the view of what is below a key, or nil: nobody looks.
func (v *view) below(key string) *view {
	if v.whole {
		return everything
	}
	if below := v.keys[key]; below != nil {
		return below
	}
	return v.each
}

// key returns the view below a key, to be added to.
func (v *view) key(key string) *view {
	if v.keys == nil {
		v.keys = map[string]*view{}
	}
	if v.keys[key] == nil {
		v.keys[key] = &view{}
	}
	return v.keys[key]
}

// add lets v have what o has.
func (v *view) add(o *view) {
	v.whole = v.whole || o.whole
	for key, below := range o.keys {
		v.key(key).add(below)
	}
	if o.each != nil {
		if v.each == nil {
			v.each = &view{}
		}
		v.each.add(o.each)
	}
}

// settle lets every key have what every key has.
func (v *view) settle() {
	if v.each != nil {
		v.each.settle()
	}
	for _, below := range v.keys {
		if v.each != nil {
			below.add(v.each)
		}
		below.settle()
	}
}

// String is the same for views that are equal, such as
// {phase, profiles{*{prior_state{desired, status}}}}; all of a value is =.
func (v *view) String() string {
	if v.whole {
		return "="
	}
	var parts []string
	if v.each != nil {
		parts = append(parts, "*"+v.each.String())
	}
	for _, key := range slices.Sorted(maps.Keys(v.keys)) {
		parts = append(parts, key+v.keys[key].String())
	}
	if len(parts) == 0 {
		return ""
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// viewOf returns what a package may look at to fill its sets: it follows the
// references to input through the variables and helpers of its compiled rules.
// Where a value goes anywhere else, such as into a builtin or a result, all of it
// counts. A comparison is such a place; the test whether there is a value at all
// is not.
func viewOf(compiler *ast.Compiler, p rulePackage) *view {
	w := &viewWalk{
		compiler: compiler, input: &view{}, reached: map[**ast.Term]bool{}, found: map[*ast.Rule]bool{},
		variables: map[ast.Var]*variable{}, parameters: map[ast.Var]bool{},
	}
	for _, expr := range p.query {
		w.walk(expr)
	}
	// Each round follows values one variable or helper further.
	w.grown = true
	for rounds := 0; w.grown && !w.input.whole; rounds++ {
		w.grown = false
		for _, rule := range w.rules {
			w.walk(rule)
		}
		w.input.whole = w.input.whole || rounds == maxViewRounds
	}
	w.input.settle()
	return w.input
}

// maxViewRounds is far more than rules need that people write.
const maxViewRounds = 100

// A viewWalk walks compiled rules, in which every variable has a name of its own.
type viewWalk struct {
	compiler   *ast.Compiler
	input      *view
	rules      []*ast.Rule // that are reached
	found      map[*ast.Rule]bool
	reached    map[**ast.Term]bool // the references that were followed to them, by their first term
	variables  map[ast.Var]*variable
	parameters map[ast.Var]bool // variables that have their values from calls
	grown      bool             // there is more than a round before
}

// A variable may stand for the values at some places of the input document.
type variable struct {
	by     *ast.Expr // the equation that gives it its value, or nil: a call does
	places []*view
}

func (w *viewWalk) walk(x any) {
	ast.NewGenericVisitor(w.visit).Walk(x)
}

func (w *viewWalk) visit(x any) (done bool) {
	switch x := x.(type) {
	case *ast.Head:
		w.head(x)
		return true
	case *ast.Expr:
		return w.expr(x)
	case ast.Ref:
		w.all(w.ref(x))
		return true
	case ast.Var:
		if v := w.variables[x]; v != nil {
			w.all(v.places)
		}
		if x.Equal(ast.InputRootDocument.Value) {
			w.all([]*view{w.input})
		}
	}
	return false
}

func (w *viewWalk) head(head *ast.Head) {
	for _, arg := range head.Args {
		ast.WalkVars(arg, func(v ast.Var) bool {
			w.parameters[v] = true
			return false
		})
	}
	for _, t := range append([]*ast.Term{head.Key, head.Value}, head.Ref()...) {
		if t != nil {
			w.walk(t)
		}
	}
}

// expr looks at the expressions in which a value may stand without being used.
func (w *viewWalk) expr(e *ast.Expr) (done bool) {
	if len(e.With) > 0 { // another input, or another function
		w.all([]*view{w.input})
		return false
	}
	switch {
	case e.IsEquality():
		w.equation(e)
		return true
	case e.IsCall():
		w.walk(e.Operator())
		for i, operand := range e.Operands() {
			if places := w.places(operand); len(places) > 0 {
				w.pass(places, e.Operator(), i)
			} else {
				w.walk(operand)
			}
		}
		return true
	}
	term, ok := e.Terms.(*ast.Term)
	return ok && len(w.places(term)) > 0
}

// places returns where in the input document a term has its value from, or nil.
func (w *viewWalk) places(t *ast.Term) []*view {
	switch v := t.Value.(type) {
	case ast.Var:
		if known := w.variables[v]; known != nil {
			return known.places
		}
	case ast.Ref:
		return w.ref(v)
	}
	return nil
}

// ref follows a reference, and returns the places in the input document where it
// ends.
func (w *viewWalk) ref(ref ast.Ref) []*view {
	var places []*view
	switch head, isVar := ref[0].Value.(ast.Var); {
	case !isVar:
		w.walk(ref[0])
	case ref[0].Equal(ast.InputRootDocument):
		places = []*view{w.input}
	case ref[0].Equal(ast.DefaultRootDocument):
		w.reach(ref)
	case w.variables[head] != nil:
		places = w.variables[head].places
	}
	places = slices.Clone(places)
	for _, part := range ref[1:] {
		for i, place := range places {
			places[i] = w.step(place, part)
		}
		w.walk(part)
	}
	return places
}

func (w *viewWalk) step(place *view, part *ast.Term) *view {
	if key, ok := part.Value.(ast.String); ok {
		w.grown = w.grown || place.keys[string(key)] == nil
		return place.key(string(key))
	}
	if place.each == nil {
		place.each, w.grown = &view{}, true
	}
	return place.each
}

// reach walks the rules to which a reference may lead.
func (w *viewWalk) reach(ref ast.Ref) {
	if w.reached[&ref[0]] {
		return
	}
	w.reached[&ref[0]] = true
	for _, rule := range w.compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{IncludeHiddenModules: true}) {
		if !w.found[rule] {
			w.found[rule], w.grown = true, true
			w.rules = append(w.rules, rule)
		}
	}
}

// all lets the package see all of the values at some places.
func (w *viewWalk) all(places []*view) {
	for _, place := range places {
		w.grown = w.grown || !place.whole
		place.whole = true
	}
}

// equation gives a variable its value from the input document. Where the variable
// may have its value from somewhere else, the equation compares.
func (w *viewWalk) equation(e *ast.Expr) {
	left, right := e.Operand(0), e.Operand(1)
	for _, side := range [][2]*ast.Term{{left, right}, {right, left}} {
		v, ok := side[0].Value.(ast.Var)
		if !ok || w.parameters[v] || w.variables[v] != nil && w.variables[v].by != e {
			continue
		}
		if places := w.places(side[1]); len(places) > 0 {
			w.give(v, e, places)
			return
		}
	}
	w.walk(left)
	w.walk(right)
}

// pass gives the parameter of a function its value.
func (w *viewWalk) pass(places []*view, function ast.Ref, i int) {
	rules := w.compiler.GetRulesExact(function)
	if len(rules) == 0 { // a builtin
		w.all(places)
	}
	for _, rule := range rules {
		for ; rule != nil; rule = rule.Else {
			if i >= len(rule.Head.Args) { // what it returns
				w.all(places)
			} else if v, ok := rule.Head.Args[i].Value.(ast.Var); ok {
				w.give(v, nil, places)
			} else {
				w.all(places)
			}
		}
	}
}

func (w *viewWalk) give(v ast.Var, by *ast.Expr, places []*view) {
	known := w.variables[v]
	if known == nil {
		known = &variable{by: by}
		w.variables[v] = known
	}
	for _, place := range places {
		if !slices.Contains(known.places, place) {
			known.places, w.grown = append(known.places, place), true
		}
	}
}
