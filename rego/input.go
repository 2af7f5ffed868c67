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
	documents, err := newConverter(in).documents([]*view{everything})
	if err != nil {
		return nil, err
	}
	return documents[0], nil
}

// inputTerms converts the input document for each package: what the package may
// look at. Packages that look at the same share a document.
func inputTerms(in policy.Input, packages []rulePackage) ([]*ast.Term, error) {
	onAllProcessors(len(packages), func(i int) { packages[i].view() })
	var views []*view
	known := map[string]int{} // the index of each view
	of := make([]int, len(packages))
	for i, p := range packages {
		v := p.view()
		key := v.String()
		if _, ok := known[key]; !ok {
			known[key] = len(views)
			views = append(views, v)
		}
		of[i] = known[key]
	}
	made, err := newConverter(in).documents(views)
	if err != nil {
		return nil, err
	}
	documents := make([]*ast.Term, len(packages))
	for i := range packages {
		documents[i] = made[of[i]]
	}
	return documents, nil
}

// A converter makes terms of an input document. The document repeats itself a lot
// (most files of most profiles are missing), and what a package looks at of it does
// even more, so equal values become one term where that is cheap to see.
type converter struct {
	in      policy.Input
	facts   map[*view]map[string]*ast.Term // by text
	strings map[string]*ast.Term
	numbers map[string]*ast.Term
	objects map[[maxShared][2]*ast.Term]*ast.Term // small ones, by keys and values in order
	items   [][2]*ast.Term                        // of the objects that are being made
}

// maxShared is how many keys an object may have to be looked for among those that
// there are. Larger ones are seldom equal.
const maxShared = 4

func newConverter(in policy.Input) *converter {
	return &converter{
		in: in, facts: map[*view]map[string]*ast.Term{},
		strings: map[string]*ast.Term{}, numbers: map[string]*ast.Term{}, objects: map[[maxShared][2]*ast.Term]*ast.Term{},
	}
}

// documents converts the input document once for each view.
func (c *converter) documents(views []*view) ([]*ast.Term, error) {
	now, err := ast.InterfaceToValue(c.in.Now)
	if err != nil {
		return nil, fmt.Errorf("input.now: %w", err)
	}
	profiles, err := c.profileTerms(views)
	if err != nil {
		return nil, err
	}
	documents := make([]*ast.Term, len(views))
	for i, v := range views {
		document := ast.NewObject(
			[2]*ast.Term{c.string("schema_version"), ast.IntNumberTerm(c.in.SchemaVersion)},
			[2]*ast.Term{c.string("phase"), c.string(c.in.Phase)},
			[2]*ast.Term{c.string("now"), ast.NewTerm(now)},
			[2]*ast.Term{c.string("profiles"), profiles[i]},
		)
		if below := v.below("container"); below != nil {
			container, err := c.factsOf(c.in.Container, below)
			if err != nil {
				return nil, fmt.Errorf("container: %w", err)
			}
			document.Insert(c.string("container"), container)
		}
		if c.in.Decisions != nil && v.below("decisions") != nil {
			document.Insert(c.string("decisions"), c.decisions())
		}
		documents[i] = ast.NewTerm(document)
	}
	return documents, nil
}

// profileTerms returns the profiles in each view. It goes from profile to profile
// and not from view to view, since a profile has to be fetched into the cache.
func (c *converter) profileTerms(views []*view) ([]*ast.Term, error) {
	seen := make([][][2]*ast.Term, len(views))
	for _, name := range slices.Sorted(maps.Keys(c.in.Profiles)) {
		facts, key := c.in.Profiles[name], c.string(name)
		for i, v := range views {
			below := v.below("profiles")
			if below != nil {
				below = below.below(name)
			}
			if below == nil {
				continue
			}
			profile, err := c.factsOf(facts, below)
			if err != nil {
				return nil, fmt.Errorf("profile %s: %w", name, err)
			}
			seen[i] = append(seen[i], [2]*ast.Term{key, profile})
		}
	}
	terms := make([]*ast.Term, len(views))
	for i := range views {
		terms[i] = ast.ObjectTerm(seen[i]...)
	}
	return terms, nil
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

func (c *converter) factsOf(facts policy.Facts, v *view) (*ast.Term, error) {
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
	return c.object(from), err
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
