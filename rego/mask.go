package rego

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"hermes-reconcile/policy"
)

// maskPackage is where OPA looks for the rules that mask events of the decision log.
const maskPackage = "system.log"

// Masks reports whether there are rules that mask events.
func (e *Evaluator) Masks() bool { return e.mask.query != nil || len(e.mask.failures) > 0 }

// Mask masks an event of the decision log, as OPA does: what the members of the set mask of
// the package name is removed or replaced, and listed in "erased" or "masked". Where a path
// leads nowhere, nothing is done. The error is that the event must not be shown.
func (e *Evaluator) Mask(ctx context.Context, event []byte) ([]byte, error) {
	if len(e.mask.failures) > 0 {
		return nil, maskError(e.mask.failures[0])
	}
	value, err := ast.ValueFromReader(strings.NewReader(string(event)))
	if err != nil {
		return nil, err
	}
	var members []any
	err = fmt.Errorf("data.%s.mask is not defined", maskPackage)
	failed := e.query(ctx, e.mask, Document{term: ast.NewTerm(value)}, nil, func(result topdown.QueryResult) {
		var plain any
		if plain, err = ast.JSON(result["mask"].Value); err != nil {
			return
		}
		var isSet bool
		if members, isSet = plain.([]any); !isSet {
			err = fmt.Errorf("data.%s.mask is no set", maskPackage)
		}
	})
	if failed != nil {
		err = maskError(*failed)
	}
	whole := map[string]any{}
	if err := errors.Join(err, json.Unmarshal(event, &whole)); err != nil {
		return nil, err
	}
	for _, member := range members {
		if err := maskOne(whole, member); err != nil {
			return nil, err
		}
	}
	return json.Marshal(whole)
}

func maskError(f policy.RuleFailure) error {
	return errors.New(strings.TrimPrefix(f.Location+": "+f.Error, ": "))
}

// maskOne does what one member of the set says.
func maskOne(event map[string]any, member any) error {
	m, isObject := member.(map[string]any)
	if !isObject {
		m = map[string]any{"op": "remove", "path": member}
	}
	path, _ := m["path"].(string)
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if !strings.HasPrefix(path, "/") || !slices.Contains([]string{"input", "result", "nd_builtin_cache"}, parts[0]) {
		return fmt.Errorf("the mask %v has no path that begins with /input or /result", member)
	}
	list := map[any]string{"remove": "erased", "upsert": "masked"}[m["op"]]
	if list == "" {
		return fmt.Errorf("the mask %v has the op %v, want remove or upsert", member, m["op"])
	}
	if _, found := changed(event, parts, list == "masked", m["value"]); found {
		before, _ := event[list].([]any)
		event[list] = append(before, path)
	}
	return nil
}

// changed removes what a path leads to, or puts a value there, and returns the changed node.
// It reports whether the path led anywhere. An upsert makes objects on its way, as in OPA.
func changed(node any, path []string, upsert bool, value any) (_ any, found bool) {
	if len(path) == 0 {
		return value, true
	}
	removes := !upsert && len(path) == 1
	switch n := node.(type) {
	case map[string]any:
		below, exists := n[path[0]]
		switch {
		case !exists && !upsert:
			return n, false
		case removes:
			delete(n, path[0])
			return n, true
		case !exists && len(path) > 1:
			below = map[string]any{}
		}
		n[path[0]], found = changed(below, path[1:], upsert, value)
		return n, found
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(n) {
			return n, false
		}
		if removes {
			return slices.Delete(n, i, i+1), true
		}
		n[i], found = changed(n[i], path[1:], upsert, value)
		return n, found
	}
	return node, false
}
