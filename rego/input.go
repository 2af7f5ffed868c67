package rego

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"golang.org/x/sync/errgroup"

	"hermes-reconcile/policy"
)

// A Document is an input document as OPA reads it.
type Document struct {
	term *ast.Term
	now  time.Time // for the time builtins
}

// NewDocument converts an input document. An error names the fact that is not JSON.
func NewDocument(in policy.Input) (Document, error) {
	now, err := ast.InterfaceToValue(in.Now)
	if err != nil {
		return Document{}, fmt.Errorf("input.now: %w", err)
	}
	container, err := newConverter().object(in.Container)
	if err != nil {
		return Document{}, fmt.Errorf("container: %w", err)
	}
	profiles, err := profileTerms(in.Profiles)
	if err != nil {
		return Document{}, err
	}
	document := ast.NewObject(
		ast.Item(ast.StringTerm("schema_version"), ast.IntNumberTerm(in.SchemaVersion)),
		ast.Item(ast.StringTerm("phase"), ast.StringTerm(in.Phase)),
		ast.Item(ast.StringTerm("now"), ast.NewTerm(now)),
		ast.Item(ast.StringTerm("container"), container),
		ast.Item(ast.StringTerm("profiles"), ast.ObjectTerm(profiles...)),
	)
	return Document{ast.NewTerm(document), time.Unix(0, in.Now.UnixNS)}.WithDecisions(in.Decisions), nil
}

// profileTerms converts the facts of all profiles, in the order of their names, a share of them
// on each processor.
func profileTerms(profiles map[string]policy.Facts) ([][2]*ast.Term, error) {
	names := slices.Sorted(maps.Keys(profiles))
	terms := make([][2]*ast.Term, len(names))
	share := len(names)/runtime.GOMAXPROCS(0) + 1
	var group errgroup.Group
	for from := 0; from < len(names); from += share {
		group.Go(func() error {
			c := newConverter()
			for i := from; i < min(from+share, len(names)); i++ {
				facts, err := c.object(profiles[names[i]])
				if err != nil {
					return fmt.Errorf("profile %s: %w", names[i], err)
				}
				terms[i] = [2]*ast.Term{ast.StringTerm(names[i]), facts}
			}
			return nil
		})
	}
	return terms, group.Wait()
}

// WithDecisions returns the document with input.decisions, which is absent if verdicts is
// nil. It shares everything else with d.
func (d Document) WithDecisions(verdicts map[string]policy.Verdict) Document {
	if verdicts == nil {
		return d
	}
	document := ast.NewObject(ast.Item(ast.StringTerm("decisions"), decisions(verdicts)))
	d.term.Value.(ast.Object).Foreach(func(key, value *ast.Term) {
		if !key.Equal(ast.StringTerm("decisions")) {
			document.Insert(key, value)
		}
	})
	return Document{ast.NewTerm(document), d.now}
}

// A converter makes one term of all facts with the same text. Most files of most
// profiles are missing, so this saves three quarters of the conversion: with 100
// profiles 8 ms, a fifth of a boot's processor time.
type converter struct {
	facts map[string]*ast.Term // by text
	names map[string]*ast.Term // of facts: all profiles have the same
}

func newConverter() converter {
	return converter{facts: map[string]*ast.Term{}, names: map[string]*ast.Term{}}
}

func (c converter) object(facts policy.Facts) (*ast.Term, error) {
	items := make([][2]*ast.Term, 0, len(facts))
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		fact, err := c.fact(facts[name])
		if err != nil {
			return nil, fmt.Errorf("fact %s: %w", name, err)
		}
		if c.names[name] == nil {
			c.names[name] = ast.StringTerm(name)
		}
		items = append(items, [2]*ast.Term{c.names[name], fact})
	}
	return ast.ObjectTerm(items...), nil
}

func (c converter) fact(text json.RawMessage) (*ast.Term, error) {
	if fact := c.facts[string(text)]; fact != nil {
		return fact, nil
	}
	value, err := ast.ValueFromReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	fact := ast.NewTerm(value)
	c.facts[string(text)] = fact
	return fact, nil
}

func decisions(verdicts map[string]policy.Verdict) *ast.Term {
	terms := make([][2]*ast.Term, 0, len(verdicts))
	for _, name := range slices.Sorted(maps.Keys(verdicts)) {
		v := verdicts[name]
		terms = append(terms, [2]*ast.Term{ast.StringTerm(name), ast.ObjectTerm(
			ast.Item(ast.StringTerm("action"), ast.StringTerm(string(v.Action))),
			ast.Item(ast.StringTerm("code"), ast.StringTerm(v.Code)),
		)})
	}
	return ast.ObjectTerm(terms...)
}
