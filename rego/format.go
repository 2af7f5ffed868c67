package rego

import (
	"errors"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

// Format returns the text of a file of rules as `opa fmt` would write it. The
// error is an Errors where the text is no Rego.
func Format(name string, text []byte) ([]byte, error) {
	formatted, err := format.SourceWithOpts(name, text, format.Opts{RegoVersion: ast.RegoV1})
	if several, ok := errors.AsType[ast.Errors](err); ok {
		return nil, fromOPA(several)
	}
	return formatted, err
}
