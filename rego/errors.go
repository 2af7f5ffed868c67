package rego

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// An Error is a mistake in a rule package or in a settings file, with its place
// and, where one is known, what would have been right.
type Error struct {
	File     string `json:"file"`
	Row      int    `json:"row"`
	Col      int    `json:"col"`
	Code     string `json:"code"`
	Message  string `json:"message"`
	Position bool   `json:"-"` // Row and Col are known
}

func (e *Error) Error() string {
	if !e.Position {
		return fmt.Sprintf("%s: %s", e.File, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Row, e.Col, e.Message)
}

// Errors is every mistake that was found, ordered by place.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// at makes an Error at a place in a module.
func at(location *ast.Location, code, format string, args ...any) *Error {
	e := &Error{Code: code, Message: fmt.Sprintf(format, args...)}
	if location != nil {
		e.File, e.Row, e.Col, e.Position = location.File, location.Row, location.Col, true
	}
	return e
}

// fromOPA turns the compiler's and the parser's errors into our own. The same
// mistake is reported once: every rule that contributes is compiled twice (see
// locate.go).
func fromOPA(errs ast.Errors) Errors {
	var out Errors
	seen := map[string]bool{}
	for _, e := range errs {
		one := at(e.Location, e.Code, "%s", sentence(e))
		if key := one.Error(); !seen[key] {
			seen[key] = true
			out = append(out, one)
		}
	}
	slices.SortFunc(out, func(a, b *Error) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Row != b.Row {
			return a.Row - b.Row
		}
		return a.Col - b.Col
	})
	return out
}

// sentence adds to the words of OPA what would have been right.
func sentence(e *ast.Error) string {
	if detail, ok := e.Details.(*ast.RefErrInvalidDetail); ok {
		return undefinedRef(detail)
	}
	if detail, ok := e.Details.(*ast.UnificationErrDetail); ok && e.Message == "match error" {
		return fmt.Sprintf("these are never equal: %s and %s", typeName(detail.Left), typeName(detail.Right))
	}
	if name, ok := strings.CutPrefix(e.Message, "undefined function "); ok {
		if _, taken := unsafeBuiltins()[name]; taken {
			return unsafeBuiltin(name)
		}
	}
	return strings.ReplaceAll(plainVars(e.Message), locatedPrefix, "")
}

// typeName is a type in a word or a few; that of an object would fill the screen.
func typeName(t types.Type) string {
	text := types.Sprint(t)
	if kind, _, composed := strings.Cut(text, "<"); composed && len(text) > 60 {
		return kind
	}
	return text
}

// undefinedRef says which key does not exist and which one may have been meant.
func undefinedRef(d *ast.RefErrInvalidDetail) string {
	ref := plainVars(d.Ref.String())
	if len(d.OneOf) == 0 {
		return fmt.Sprintf("undefined ref: %s", ref)
	}
	wrong := ""
	if s, ok := d.Ref[d.Pos].Value.(ast.String); ok {
		wrong = string(s)
	}
	var have []string
	for _, v := range d.OneOf {
		if s, ok := v.(ast.String); ok {
			have = append(have, string(s))
		}
	}
	slices.Sort(have)
	if near := nearest(wrong, have); near != "" {
		return fmt.Sprintf("undefined ref: %s has no %q, did you mean %q? Have: %s", plainVars(d.Ref[:d.Pos].String()), wrong, near, strings.Join(have, ", "))
	}
	return fmt.Sprintf("undefined ref: %s has no %q, have: %s", plainVars(d.Ref[:d.Pos].String()), wrong, strings.Join(have, ", "))
}

// nearest returns the word that was most probably meant, or "".
func nearest(wrong string, words []string) string {
	best, distance := "", 1+max(1, len(wrong)/3)
	for _, w := range words {
		if d := levenshtein.ComputeDistance(wrong, w); d < distance {
			best, distance = w, d
		}
	}
	return best
}

var localVar = regexp.MustCompile(`__local\d+__`)

// plainVars hides what the compiler made of the author's text: local variables
// and the document that stands in for input while types are checked.
func plainVars(text string) string {
	text = strings.ReplaceAll(text, typesPackage+".document", "input")
	return localVar.ReplaceAllString(text, "_")
}
