package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/rego"
)

// A fact is what a reference below input stands for.
type fact struct {
	node *rego.Schema
	path []string // keys below input; "*" for those that are not constant
}

func (f fact) String() string {
	return "input." + strings.ReplaceAll(strings.Join(f.path, "."), ".*", "[_]")
}

// key returns the fact itself, such as container.command or profiles.*.tokens, and
// whether the path leads below it.
func (f fact) key() (string, bool) {
	depth := 2
	if len(f.path) > 0 && f.path[0] == "profiles" {
		depth = 3
	}
	if len(f.path) <= depth {
		return strings.Join(f.path, "."), false
	}
	return strings.Join(f.path[:depth], "."), true
}

// mayBeAbsent reports whether some facts lack this value: everything below a fact may be
// absent except its status.
func (f fact) mayBeAbsent() bool {
	if len(f.path) == 0 || f.path[0] != "container" && f.path[0] != "profiles" {
		return false
	}
	key, below := f.key()
	return below && f.path[strings.Count(key, ".")+1] != "status"
}

// resolve follows a term to the fact that it stands for.
func (i *inspector) resolve(t *ast.Term) (fact, bool) {
	ref := i.scope.Resolve(t)
	if ref == nil || !ref[0].Equal(ast.InputRootDocument) {
		return fact{}, false
	}
	f := fact{node: i.schema}
	for _, part := range ref[1:] {
		key := "*"
		if s, ok := part.Value.(ast.String); ok {
			key = string(s)
		}
		f.node, f.path = f.node.Below(key), append(f.path, key)
	}
	return f, true
}

// inspectComparisons finds facts that are compared with a value that they never have.
func (i *inspector) inspectComparisons(rule *ast.Rule) {
	ast.WalkExprs(rule, func(e *ast.Expr) bool {
		if !e.IsCall() || len(e.Operands()) != 2 {
			return false
		}
		a, b := e.Operand(0), e.Operand(1)
		switch e.Operator().String() {
		case "equal", "eq", "neq":
			i.compare(a, b)
			i.compare(b, a)
		case "gt", "gte", "lt", "lte":
			i.compareTypes(a, b)
			i.compareTypes(b, a)
		case "internal.member_2":
			i.compareAny(a, b)
		}
		return false
	})
}

func (i *inspector) compareAny(t, collection *ast.Term) {
	each := func(word *ast.Term) { i.compare(t, word) }
	switch words := collection.Value.(type) {
	case ast.Set:
		words.Foreach(each)
	case *ast.Array:
		words.Foreach(each)
	}
}

func (i *inspector) compare(t, word *ast.Term) {
	constant, ok := word.Value.(ast.String)
	f, isFact := i.resolve(t)
	if !ok || !isFact || f.node == nil || len(f.node.Enum) == 0 || slices.Contains(f.node.Enum, any(string(constant))) {
		return
	}
	have := f.node.EnumText()
	hint := ""
	if near := suggest.Nearest(string(constant), strings.Split(have, ", ")); near != "" {
		hint = fmt.Sprintf(", did you mean %q?", near)
	}
	i.at(word.Location, "not_in_enum", "%s is never %s%s Have: %s", f, word, hint, have)
}

// compareTypes finds a number that is ordered against text. In Rego every number comes
// before every text.
func (i *inspector) compareTypes(t, constant *ast.Term) {
	f, ok := i.resolve(t)
	if !ok || f.node == nil {
		return
	}
	_, isText := constant.Value.(ast.String)
	_, isNumber := constant.Value.(ast.Number)
	isNumeric := f.node.Type == "number" || f.node.Type == "integer"
	if isText && isNumeric || isNumber && f.node.Type == "string" {
		i.at(constant.Location, "unlike_types", "%s is of the type %s, and %s is not", f, f.node.Type, constant)
	}
}

// errorProne are the builtins that fail on text of another form: which operand is that
// text, and which builtins test it.
var errorProne = map[string]struct {
	operand int
	guards  []string
}{
	"to_number":              {0, []string{"regex.match", "is_number"}},
	"json.unmarshal":         {0, []string{"json.is_valid"}},
	"yaml.unmarshal":         {0, []string{"yaml.is_valid"}},
	"time.parse_rfc3339_ns":  {0, []string{"regex.match"}},
	"time.parse_ns":          {1, []string{"regex.match"}},
	"time.parse_duration_ns": {0, []string{"regex.match"}},
	"units.parse":            {0, []string{"regex.match"}},
	"units.parse_bytes":      {0, []string{"regex.match"}},
	"base64.decode":          {0, []string{"base64.is_valid"}},
	"base64url.decode":       {0, []string{"regex.match"}},
	"hex.decode":             {0, []string{"regex.match"}},
	"semver.compare":         {0, []string{"semver.is_valid"}},
	"net.cidr_contains":      {1, []string{"net.cidr_is_valid", "regex.match"}},
	"regex.match":            {0, []string{"regex.is_valid"}},
}

// inspectCalls checks the calls of builtins, also those inside other terms.
func (i *inspector) inspectCalls(rule *ast.Rule) {
	guarded := map[string]bool{} // "builtin operand"
	for _, other := range i.Module.Rules {
		for _, call := range callsOf(other) {
			for _, operand := range call[1:] {
				// A helper may test the operand too, if both name the same fact.
				if ref, ok := operand.Value.(ast.Ref); other == rule || ok && ref.IsGround() && ref[0].Equal(ast.InputRootDocument) {
					guarded[call[0].String()+" "+operand.String()] = true
				}
			}
		}
	}
	for _, call := range callsOf(rule) {
		i.inspectBuiltin(call, guarded)
		i.inspectSprintf(call)
	}
}

// callsOf returns the calls of a rule: each is an operator and its operands.
func callsOf(rule *ast.Rule) [][]*ast.Term {
	var calls [][]*ast.Term
	ast.WalkExprs(rule, func(e *ast.Expr) bool {
		if terms, ok := e.Terms.([]*ast.Term); ok && e.IsCall() {
			calls = append(calls, terms)
		}
		return false
	})
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		if call, ok := t.Value.(ast.Call); ok {
			calls = append(calls, call)
		}
		return false
	})
	return calls
}

func (i *inspector) inspectBuiltin(call []*ast.Term, guarded map[string]bool) {
	name := call[0].String()
	prone, ok := errorProne[name]
	if !ok || len(call) <= prone.operand+1 {
		return
	}
	operand := call[prone.operand+1]
	f, isFact := i.resolve(operand)
	if !isFact || f.node != nil && (f.node.Type == "number" || f.node.Type == "integer" || f.node.WrittenBy == "kernel") {
		return
	}
	for _, guard := range prone.guards {
		if guarded[guard+" "+operand.String()] {
			return
		}
	}
	i.at(call[0].Location, "builtin_error_likely", "%s breaks the whole package when %s does not look as expected; test it first with %s", name, f, strings.Join(prone.guards, " or "))
}

var verb = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`%[-+# 0]*[0-9]*(?:\.[0-9]+)?[a-zA-Z%]`) })

func (i *inspector) inspectSprintf(call []*ast.Term) {
	if call[0].String() != "sprintf" || len(call) < 3 {
		return
	}
	format, ok := call[1].Value.(ast.String)
	values, isArray := call[2].Value.(*ast.Array)
	if !ok || !isArray || strings.Contains(string(format), "[") {
		return
	}
	places := 0
	for _, v := range verb().FindAllString(string(format), -1) {
		if !strings.HasSuffix(v, "%") {
			places++
		}
	}
	if places != values.Len() {
		i.at(call[1].Location, "sprintf_arguments", "the format has %d places, and there are %d values", places, values.Len())
	}
}
