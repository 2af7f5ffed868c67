package rego

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// An Error is a mistake in a rule package or in a settings file, with its place and,
// if known, what would have been right.
type Error struct {
	File string `json:"file"`
	// Row and Col count from 1. They are 0 if the place is the whole file.
	Row     int    `json:"row"`
	Col     int    `json:"col"`
	Code    string `json:"code"`
	Message string `json:"message"`

	setting string // that is left out for this mistake, which costs nothing else
}

func (e *Error) Error() string {
	if e.Row == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Row, e.Col, e.Message)
}

// CodeDirectory is the code of a directory that cannot be read.
const CodeDirectory = "directory_unreadable"

// Errors are all mistakes that were found. FromOPA sorts them by place.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// OrNil returns e, or nil if there is no mistake.
func (e Errors) OrNil() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Untrusted returns the mistakes that are about what the agents could have written.
func Untrusted(err error) []string {
	var found []string
	mistakes, _ := errors.AsType[Errors](err)
	for _, e := range mistakes {
		if e.Code == policy.CodeUntrusted {
			found = append(found, e.Error())
		}
	}
	return found
}

// OfPackages returns the mistakes that keep packages from being used.
func OfPackages(err error) Errors {
	mistakes, _ := errors.AsType[Errors](err)
	return slices.DeleteFunc(slices.Clone(mistakes), func(e *Error) bool { return e.setting != "" })
}

// leavesNone reports whether the mistake leaves no policy that can be used.
func (e *Error) leavesNone() bool {
	return e.Code == CodeDirectory || e.Code == policy.CodeUntrusted || e.Code == "settings_error" && e.setting == ""
}

// place returns the place as the failure of a rule has it.
func (e *Error) place() string { return strings.TrimSuffix(e.Error(), ": "+e.Message) }

// at makes an Error at a place in a module.
func at(location *ast.Location, code, format string, args ...any) *Error {
	e := &Error{Code: code, Message: fmt.Sprintf(format, args...)}
	if location != nil {
		e.File, e.Row, e.Col = location.File, location.Row, location.Col
	}
	return e
}

// FromOPA converts the errors of OPA's compiler and parser and sorts them by place. It
// reports a mistake once, although every rule that contributes is compiled twice (see
// locate.go).
func FromOPA(errs ast.Errors) Errors {
	var out Errors
	for _, e := range errs {
		out = append(out, at(e.Location, e.Code, "%s", explain(e)))
	}
	slices.SortFunc(out, func(a, b *Error) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Row-b.Row, a.Col-b.Col, strings.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(out, func(a, b *Error) bool { return a.Error() == b.Error() })
}

// explain adds to OPA's message what would have been right.
func explain(e *ast.Error) string {
	if detail, ok := e.Details.(*ast.RefErrInvalidDetail); ok {
		return undefinedRef(detail)
	}
	if detail, ok := e.Details.(*ast.UnificationErrDetail); ok && e.Message == "match error" {
		return fmt.Sprintf("these are never equal: %s and %s", typeName(detail.Left), typeName(detail.Right))
	}
	if name, ok := strings.CutPrefix(e.Message, "undefined function "); ok {
		return undefinedFunction(name)
	}
	return AsWritten(plainVars(e.Message))
}

// undefinedFunction names the function of Rego that was probably meant.
func undefinedFunction(name string) string {
	if isUnsafe(name) {
		return unsafeBuiltin(name)
	}
	var have []string
	for _, b := range ast.Builtins {
		if b.Infix == "" && !b.IsDeprecated() && !isUnsafe(b.Name) {
			have = append(have, b.Name)
		}
	}
	message := "undefined function " + AsWritten(plainVars(name))
	if near := suggest.Nearest(name, have); near != "" {
		message += fmt.Sprintf(", did you mean %q?", near)
	}
	return message
}

// typeName shortens the type of an object, which would fill the screen.
func typeName(t types.Type) string {
	text := types.Sprint(t)
	if kind, _, composed := strings.Cut(text, "<"); composed && len(text) > 60 {
		return kind
	}
	return text
}

// undefinedRef names the key that does not exist and the one that was probably meant.
func undefinedRef(d *ast.RefErrInvalidDetail) string {
	if name, ok := d.Ref[d.Pos-1].Value.(ast.String); ok && d.Ref[0].Equal(ast.DefaultRootDocument) && IsSet(string(name)) {
		return fmt.Sprintf("%s is never a member of %s", plainVars(d.Ref[d.Pos].String()), plainVars(d.Ref[:d.Pos].String()))
	}
	if len(d.OneOf) == 0 {
		return fmt.Sprintf("undefined ref: %s", plainVars(d.Ref.String()))
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
	return fmt.Sprintf("undefined ref: %s has no %q%s", plainVars(d.Ref[:d.Pos].String()), wrong, suggest.All(wrong, have))
}

var localVar = policy.Pattern(`__local\d+__`)

// plainVars hides what the compiler made of the author's text: local variables, and the
// document that replaces input while types are checked.
func plainVars(text string) string {
	text = strings.ReplaceAll(text, typesPackage+".document", "input")
	return localVar().ReplaceAllString(text, "_")
}
