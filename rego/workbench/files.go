// Package workbench is what authors of rules work with: it makes a directory of rules,
// adds recipes to it, formats and describes rules, runs their tests, and traces them.
package workbench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/rogpeppe/go-internal/diff"

	"hermes-reconcile/policy/trust"
	"hermes-reconcile/rego"
)

// A File is one of a directory of rules, as it is to be written.
type File struct {
	Path     string   `json:"file"`
	Settings []string `json:"settings,omitempty"` // that are added to it
	Diff     string   `json:"diff,omitempty"`     // what changes in it

	text     []byte
	replaces bool // it may exist
}

// Write writes files, and makes their directories. A file that exists is an
// error, unless the new one was made from it. The result is those before an error.
func Write(files []File) ([]File, error) {
	for i, f := range files {
		if err := f.write(); err != nil {
			return files[:i], err
		}
	}
	return files, nil
}

func (f File) write() error {
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return err
	}
	if f.replaces {
		return renameio.WriteFile(f.Path, f.text, 0o644, renameio.WithExistingPermissions())
	}
	file, err := os.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(f.text)
	return errors.Join(err, file.Close())
}

// Formatted returns a file as `opa fmt` would write it. Its Diff is empty if it is so. The
// error is a rego.Errors if the text is not Rego.
func Formatted(name string) (File, error) {
	text, err := trust.Read(name, trust.Anybody, rego.MaxFile)
	if err != nil {
		return File{}, err
	}
	formatted, err := format.SourceWithOpts(name, text, format.Opts{RegoVersion: ast.RegoV1})
	if several, ok := errors.AsType[ast.Errors](err); ok {
		err = rego.FromOPA(several)
	}
	return File{Path: name, Diff: string(diff.Diff(name, text, name+" (formatted)", formatted)), text: formatted, replaces: true}, err
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
