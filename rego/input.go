package rego

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
)

// inputTerm converts the whole input document.
func inputTerm(in policy.Input) (*ast.Term, error) {
	return newConverter(in).document(everything)
}

// inputTerms converts the input document for each package: what the package may
// look at. Packages that look at the same share a document.
func inputTerms(in policy.Input, packages []rulePackage) ([]*ast.Term, error) {
	c := newConverter(in)
	made := map[string]*ast.Term{}
	documents := make([]*ast.Term, len(packages))
	for i, p := range packages {
		v := p.view()
		key := v.String()
		if made[key] == nil {
			document, err := c.document(v)
			if err != nil {
				return nil, err
			}
			made[key] = document
		}
		documents[i] = made[key]
	}
	return documents, nil
}

// A converter makes terms of an input document. The document repeats itself a lot
// (most files of most profiles are missing), and what a package looks at of it does
// even more, so equal values become one term where that is cheap to see.
type converter struct {
	in       policy.Input
	profiles []string                       // their names, sorted
	facts    map[*view]map[string]*ast.Term // of one document, by text
	strings  map[string]*ast.Term
	numbers  map[string]*ast.Term
	objects  map[[maxShared][2]*ast.Term]*ast.Term // small ones, by keys and values in order
	items    [][2]*ast.Term                        // of the objects that are being made
}

// maxShared is how many keys an object may have to be looked for among those that
// there are. Larger ones are seldom equal.
const maxShared = 4

func newConverter(in policy.Input) *converter {
	return &converter{
		in: in, profiles: slices.Sorted(maps.Keys(in.Profiles)), facts: map[*view]map[string]*ast.Term{},
		strings: map[string]*ast.Term{}, numbers: map[string]*ast.Term{}, objects: map[[maxShared][2]*ast.Term]*ast.Term{},
	}
}

// document converts what is in the view.
func (c *converter) document(v *view) (*ast.Term, error) {
	clear(c.facts)
	now, err := ast.InterfaceToValue(c.in.Now)
	if err != nil {
		return nil, fmt.Errorf("input.now: %w", err)
	}
	document := ast.NewObject(
		[2]*ast.Term{c.string("schema_version"), ast.IntNumberTerm(c.in.SchemaVersion)},
		[2]*ast.Term{c.string("phase"), c.string(c.in.Phase)},
		[2]*ast.Term{c.string("now"), ast.NewTerm(now)},
	)
	if below := v.below("container"); below != nil {
		container, err := c.factsOf("container", c.in.Container, below)
		if err != nil {
			return nil, err
		}
		document.Insert(c.string("container"), container)
	}
	if below := v.below("profiles"); below != nil {
		profiles, err := c.profilesTerm(below)
		if err != nil {
			return nil, err
		}
		document.Insert(c.string("profiles"), profiles)
	}
	if c.in.Decisions != nil && v.below("decisions") != nil {
		document.Insert(c.string("decisions"), c.decisions())
	}
	return ast.NewTerm(document), nil
}

func (c *converter) profilesTerm(v *view) (*ast.Term, error) {
	profiles := make([][2]*ast.Term, 0, len(c.profiles))
	for _, name := range c.profiles {
		below := v.below(name)
		if below == nil {
			continue
		}
		profile, err := c.factsOf("profile "+name, c.in.Profiles[name], below)
		if err != nil {
			return nil, err
		}
		profiles = append(profiles, [2]*ast.Term{c.string(name), profile})
	}
	return ast.ObjectTerm(profiles...), nil
}

func (c *converter) decisions() *ast.Term {
	decisions := make([][2]*ast.Term, 0, len(c.in.Decisions))
	for _, name := range slices.Sorted(maps.Keys(c.in.Decisions)) {
		v := c.in.Decisions[name]
		c.items = append(c.items[:0],
			[2]*ast.Term{c.string("action"), c.string(string(v.Action))},
			[2]*ast.Term{c.string("code"), c.string(v.Code)})
		decisions = append(decisions, [2]*ast.Term{c.string(name), c.object(0)})
	}
	return ast.ObjectTerm(decisions...)
}

func (c *converter) factsOf(what string, facts policy.Facts, v *view) (*ast.Term, error) {
	from := len(c.items)
	var err error
	if v.whole || v.each != nil {
		for name := range facts {
			err = cmp.Or(err, c.item(name, facts, v.below(name)))
		}
	} else {
		for name, below := range v.keys {
			err = cmp.Or(err, c.item(name, facts, below))
		}
	}
	object := c.object(from)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return object, nil
}

// item adds a fact to the object that is being made, where there is one.
func (c *converter) item(name string, facts policy.Facts, v *view) error {
	text, ok := facts[name]
	if !ok {
		return nil
	}
	fact, err := c.fact(text, v)
	if err != nil {
		return fmt.Errorf("fact %s: %w", name, err)
	}
	c.items = append(c.items, [2]*ast.Term{c.string(name), fact})
	return nil
}

func (c *converter) fact(text json.RawMessage, v *view) (*ast.Term, error) {
	known := c.facts[v]
	if known == nil {
		known = map[string]*ast.Term{}
		c.facts[v] = known
	}
	if fact := known[string(text)]; fact != nil {
		return fact, nil
	}
	if !json.Valid(text) {
		var value any
		return nil, cmp.Or(json.Unmarshal(text, &value), errors.New("is no JSON"))
	}
	r := jsonReader{converter: c, text: string(text)}
	fact := r.value(v)
	known[r.text] = fact
	return fact, r.err
}

// object makes the object of the items from an index on, and takes them away. Of
// items with the same key the last one counts.
func (c *converter) object(from int) *ast.Term {
	items := c.items[from:]
	c.items = c.items[:from]
	if !slices.IsSortedFunc(items, compareKeys) {
		slices.SortStableFunc(items, compareKeys)
	}
	kept := items[:0]
	for i, item := range items {
		if i+1 == len(items) || items[i+1][0] != item[0] {
			kept = append(kept, item)
		}
	}
	items = kept
	if len(items) > maxShared {
		return ast.ObjectTerm(items...)
	}
	var key [maxShared][2]*ast.Term
	copy(key[:], items)
	object := c.objects[key]
	if object == nil {
		object = ast.ObjectTerm(items...)
		c.objects[key] = object
	}
	return object
}

func compareKeys(a, b [2]*ast.Term) int {
	return strings.Compare(string(a[0].Value.(ast.String)), string(b[0].Value.(ast.String)))
}

func (c *converter) string(s string) *ast.Term {
	term := c.strings[s]
	if term == nil {
		s = strings.Clone(s) // it is a part of a text that need not stay
		term = ast.StringTerm(s)
		c.strings[s] = term
	}
	return term
}

func (c *converter) number(s string) (*ast.Term, error) {
	term := c.numbers[s]
	if term == nil {
		s = strings.Clone(s)
		value, err := ast.InterfaceToValue(json.Number(s))
		if err != nil {
			return nil, err
		}
		term = ast.NewTerm(value)
		c.numbers[s] = term
	}
	return term, nil
}

// A jsonReader makes terms of a JSON text, which is valid. It steps over what is not
// in the view without making anything of it; encoding/json would make all, and what
// it makes is not yet terms.
type jsonReader struct {
	*converter
	text string
	at   int
	err  error // a number that cannot be one
}

func (r *jsonReader) value(v *view) *ast.Term {
	switch r.next() {
	case '{':
		return r.objectValue(v)
	case '[':
		return r.arrayValue(v)
	case '"':
		return r.string(r.stringValue())
	case 't':
		r.at += len("true")
		return ast.InternedTerm(true)
	case 'f':
		r.at += len("false")
		return ast.InternedTerm(false)
	case 'n':
		r.at += len("null")
		return ast.InternedNullTerm
	}
	number, err := r.number(r.scalar())
	if err != nil {
		r.err = err
		return ast.InternedNullTerm
	}
	return number
}

// next steps over what separates values, and returns the first byte of what follows.
func (r *jsonReader) next() byte {
	for {
		switch b := r.text[r.at]; b {
		case ' ', '\t', '\n', '\r', ',', ':':
			r.at++
		default:
			return b
		}
	}
}

func (r *jsonReader) objectValue(v *view) *ast.Term {
	from := len(r.items)
	for r.at++; r.next() != '}'; {
		key := r.stringValue()
		below := v.below(key)
		if below == nil {
			r.skip()
			continue
		}
		value := r.value(below)
		r.items = append(r.items, [2]*ast.Term{r.string(key), value})
	}
	r.at++
	return r.object(from)
}

func (r *jsonReader) arrayValue(v *view) *ast.Term {
	below := v.each
	if v.whole {
		below = everything
	}
	var elements []*ast.Term
	for r.at++; r.next() != ']'; {
		if below == nil {
			r.skip()
			continue
		}
		elements = append(elements, r.value(below))
	}
	r.at++
	if len(elements) == 0 {
		return ast.InternedEmptyArray
	}
	return ast.ArrayTerm(elements...)
}

// stringValue reads a string, quotes and all.
func (r *jsonReader) stringValue() string {
	quoted := r.quoted()
	plain := quoted[1 : len(quoted)-1]
	if strings.IndexByte(plain, '\\') < 0 && utf8.ValidString(plain) {
		return plain
	}
	var s string
	r.err = cmp.Or(r.err, json.Unmarshal([]byte(quoted), &s))
	return s
}

func (r *jsonReader) quoted() string {
	from := r.at
	for r.at++; r.text[r.at] != '"'; r.at++ {
		if r.text[r.at] == '\\' {
			r.at++
		}
	}
	r.at++
	return r.text[from:r.at]
}

// scalar reads a value that is no string, object or array.
func (r *jsonReader) scalar() string {
	from := r.at
	for r.at < len(r.text) && strings.IndexByte(" \t\n\r,:]}", r.text[r.at]) < 0 {
		r.at++
	}
	return r.text[from:r.at]
}

// skip steps over a value.
func (r *jsonReader) skip() {
	for depth := 0; ; {
		switch r.next() {
		case '{', '[':
			r.at++
			depth++
		case '}', ']':
			r.at++
			depth--
		case '"':
			r.quoted()
		default:
			r.scalar()
		}
		if depth == 0 {
			return
		}
	}
}
