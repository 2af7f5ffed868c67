package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/rego"
)

// A fact is what a reference below input stands for.
type fact struct {
	node *rego.Schema
	path []string // keys below input; "*" for those that are not constant

	unknown *ast.Term    // the first key that the schema does not have, or nil
	at      int          // its index in path
	in      *rego.Schema // where it is missing
}

func (f fact) String() string {
	return "input." + strings.ReplaceAll(strings.Join(f.path, "."), ".*", "[_]")
}

// depth is how many keys lead to the whole fact, such as container.command or
// profiles.*.tokens.
func (f fact) depth() int {
	if len(f.path) > 0 && f.path[0] == "profiles" {
		return 3
	}
	return 2
}

// mayBeAbsent reports whether some facts lack this value: everything below a fact may be
// absent except its status.
func (f fact) mayBeAbsent() bool {
	below := len(f.path) > f.depth() && slices.Contains([]string{"container", "profiles"}, f.path[0])
	return below && f.path[f.depth()] != "status"
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
		if f.unknown == nil && !f.node.Allows(key) {
			f.unknown, f.at, f.in = part, len(f.path), f.node
		}
		f.node, f.path = f.node.Below(key), append(f.path, key)
	}
	return f, true
}

// call checks one call, of a builtin or of a function.
func (i *inspector) call(call []*ast.Term) {
	switch operator := call[0].String(); {
	case len(call) == 4 && operator == "internal.member_3":
		i.searched(call[3])
	case len(call) != 3:
	case slices.Contains(comparisons, operator):
		i.compare(call[1], call[2])
		i.compare(call[2], call[1])
		i.compareTypes(operator, call[1], call[2])
	case operator == "internal.member_2":
		i.compareAny(call[1], call[2])
		i.searched(call[2])
	case operator == "sprintf":
		i.sprintf(call[1], call[2])
	}
	if len(call) >= 4 && call[0].String() == "glob.match" {
		i.globMatch(call[1], call[3])
	}
	if call[0].String() == "print" {
		i.at(call[0].Location, "print_unseen", "print() does nothing at a boot")
	}
	i.mayFail(call)
}

// compareAny compares a term with each element of a literal collection.
func (i *inspector) compareAny(t, collection *ast.Term) {
	each := func(word *ast.Term) { i.compare(t, word) }
	switch words := collection.Value.(type) {
	case ast.Set:
		words.Foreach(each)
	case *ast.Array:
		words.Foreach(each)
	}
}

// compare finds a fact that is compared with a value that the fact never has.
func (i *inspector) compare(t, word *ast.Term) {
	constant, ok := word.Value.(ast.String)
	f, isFact := i.resolve(t)
	if !ok || !isFact || f.node == nil || len(f.node.Enum) == 0 || slices.Contains(f.node.Enum, any(string(constant))) {
		return
	}
	i.at(word.Location, "not_in_enum", "%s is never %s%s", f, word, suggest.All(string(constant), strings.Split(f.node.EnumText(), ", ")))
}

// compareTypes finds a comparison of values of two types. In Rego they are never equal, and
// every number comes before every text.
func (i *inspector) compareTypes(operator string, a, b *ast.Term) {
	nameA, kindA, settingA := i.typed(a)
	nameB, kindB, settingB := i.typed(b)
	ordered := strings.HasPrefix(operator, "g") || strings.HasPrefix(operator, "l") // else the compiler knows all but settings
	if kindA != "" && kindB != "" && kindA != kindB && (ordered || settingA || settingB) {
		i.at(b.Location, "unlike_types", "%s has the type %s, and %s the type %s", nameA, kindA, nameB, kindB)
	}
}

// typed returns how to call a fact, a setting or a constant, and its type, which is "" if it
// is not known.
func (i *inspector) typed(t *ast.Term) (name, kind string, isSetting bool) {
	if f, ok := i.resolve(t); ok && f.node != nil {
		return f.String(), strings.Replace(f.node.Type, "integer", "number", 1), false
	}
	name, value := t.String(), t.Value
	if ref := i.scope.Resolve(t); len(ref) == 3 && ref.HasPrefix(rego.SettingsRef) {
		key, _ := ref[2].Value.(ast.String)
		isSetting, value = true, ast.MustInterfaceToValue(i.rules.Settings[string(key)])
		name = fmt.Sprintf("setting %s, which is %s,", string(key), value)
	}
	switch value.(type) {
	case ast.String, ast.Number, ast.Boolean:
		kind = ast.ValueName(value)
	}
	return name, kind, isSetting
}

// globMatch finds a pattern in the place of the text.
func (i *inspector) globMatch(pattern, text *ast.Term) {
	constant, isText := text.Value.(ast.String)
	_, patternToo := pattern.Value.(ast.String)
	fromSettings := i.scope.Resolve(text).HasPrefix(rego.SettingsRef) && !i.scope.Resolve(pattern).HasPrefix(rego.SettingsRef)
	if isText && strings.ContainsAny(string(constant), "*?[{") || fromSettings && !patternToo {
		i.at(text.Location, "glob_swapped", "%s is the text here, and %s the pattern", text, pattern)
	}
}

// unknownKey reports a key that an object of the input document never has.
func (i *inspector) unknownKey(f fact, code string) {
	i.at(f.unknown.Location, code, "%s has no %s%s", fact{path: f.path[:f.at]}, f.unknown, suggest.Words(f.path[f.at], f.in.Keys()))
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

// mayFail finds a builtin that fails the package if a fact has an unexpected form.
func (i *inspector) mayFail(call []*ast.Term) {
	name := call[0].String()
	prone, ok := errorProne[name]
	if !ok || len(call) <= prone.operand+1 {
		return
	}
	operand := call[prone.operand+1]
	f, isFact := i.resolve(operand)
	if !isFact || f.node != nil && (f.node.Type == "number" || f.node.Type == "integer" || f.node.WrittenBy == "kernel") || i.tested(operand, prone.guards) {
		return
	}
	i.at(call[0].Location, "builtin_error_likely", "%s fails the whole package if %s has an unexpected form; test it first with %s", name, f, strings.Join(prone.guards, " or "))
}

// tested reports whether the rule passes the operand to one of the builtins. A helper may
// test the operand too, if both name the same fact.
func (i *inspector) tested(operand *ast.Term, builtins []string) (found bool) {
	var where any = i.rule
	if ref, ok := operand.Value.(ast.Ref); ok && ref.IsGround() && ref[0].Equal(ast.InputRootDocument) {
		where = i.Module
	}
	eachCall(where, func(call []*ast.Term) {
		found = found || slices.Contains(builtins, call[0].String()) && slices.ContainsFunc(call[1:], operand.Equal)
	})
	return found
}

var verb = policy.Pattern(`%[-+# 0]*[0-9]*(?:\.[0-9]+)?[a-zA-Z%]`)

// sprintf compares the number of values with the places of a constant format.
func (i *inspector) sprintf(text, arguments *ast.Term) {
	format, ok := text.Value.(ast.String)
	values, isArray := arguments.Value.(*ast.Array)
	if !ok || !isArray || strings.Contains(string(format), "[") {
		return
	}
	places := 0
	for _, v := range verb().FindAllString(string(format), -1) {
		if strings.HasSuffix(v, "%") {
			continue
		}
		if places < values.Len() {
			i.fitsVerb(v, values.Elem(places))
		}
		places++
	}
	if places != values.Len() {
		i.at(text.Location, "sprintf_arguments", "the format has %d places, and there are %d values", places, values.Len())
	}
}

// fitsVerb finds a fact of a type that its verb does not print.
func (i *inspector) fitsVerb(verb string, value *ast.Term) {
	f, ok := i.resolve(value)
	if !ok || f.node == nil {
		return
	}
	good := map[string]string{"string": "vsq", "integer": "vdxXobc", "number": "vfeEgG", "boolean": "vt"}[f.node.Type]
	if good != "" && !strings.Contains(good, verb[len(verb)-1:]) {
		i.at(value.Location, "sprintf_verb", "%s is of the type %s, which %s does not print", f, f.node.Type, verb)
	}
}
