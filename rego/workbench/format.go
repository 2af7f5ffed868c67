package workbench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"

	"hermes-reconcile/rego"
)

// Format returns the text of a file of rules as `opa fmt` would write it. The error is
// a rego.Errors if the text is not Rego.
func Format(name string, text []byte) ([]byte, error) {
	formatted, err := format.SourceWithOpts(name, text, format.Opts{RegoVersion: ast.RegoV1})
	if several, ok := errors.AsType[ast.Errors](err); ok {
		return nil, rego.FromOPA(several)
	}
	return formatted, err
}

// Files lists the rule and test files of a directory in lexical order, without those
// below names that begin with a dot. A file stands for itself. The error is also about a
// directory without such a file.
func Files(place string) ([]string, error) {
	if info, err := os.Stat(place); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return []string{place}, nil
	}
	dir := os.DirFS(place)
	names, err := rego.FindFiles(dir, func(name string) bool { return strings.HasSuffix(name, ".rego") })
	var files []string
	for _, name := range names {
		if info, err := fs.Stat(dir, name); err == nil && info.Mode().IsRegular() {
			files = append(files, filepath.Join(place, name))
		}
	}
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there is no .rego file in %s", place)
	}
	return files, err
}
