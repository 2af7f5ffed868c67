package workbench

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/rogpeppe/go-internal/diff"

	"hermes-reconcile/policy/trust"
	"hermes-reconcile/rego"
)

// A File is one of a directory of rules, as it is to be written.
type File struct {
	Path     string   `json:"file"`
	Kept     bool     `json:"kept"`               // it stays as it is
	Settings []string `json:"settings,omitempty"` // that are added to it
	Diff     string   `json:"diff,omitempty"`     // what changes in it

	text     []byte
	replaces bool // it may exist
}

// Write writes files that are not kept, and makes their directories. A file that exists is an
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
	if f.Kept {
		return nil
	}
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

// Formatted returns a file as `opa fmt` would write it, which is kept if it is so.
func Formatted(name string) (File, error) {
	text, err := trust.Read(name, trust.Anybody, rego.MaxFile)
	if err != nil {
		return File{}, err
	}
	formatted, err := Format(name, text)
	return File{
		Path: name, Kept: string(formatted) == string(text), Diff: string(diff.Diff(name, text, name+" (formatted)", formatted)),
		text: formatted, replaces: true,
	}, err
}
