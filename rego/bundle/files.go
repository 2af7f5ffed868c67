package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"
	"golang.org/x/tools/txtar"

	"hermes-reconcile/policy/trust"
)

// maxHeader limits the header of a copy, in bytes.
const maxHeader = 64 << 10

// readCopy reads a copy in the state directory: its header, which is one line of JSON, and
// the text that follows, of at most so many bytes. It refuses a copy that a user other than
// root and the caller could have written.
func readCopy(name string, most int64, header any) (text []byte, err error) {
	if info, err := os.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	all, err := trust.Read(name, trust.Only(os.Geteuid()), most+maxHeader)
	if err != nil {
		return nil, err
	}
	line, text, _ := bytes.Cut(all, []byte("\n"))
	if err := json.Unmarshal(line, header); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", name, err)
	}
	return text, nil
}

func writeCopy(name string, header any, text []byte) error {
	line, err := json.Marshal(header)
	if err != nil {
		return err
	}
	return replaceFile(name, append(append(line, '\n'), text...))
}

// replaceFile writes a file atomically and for good, and removes what a killed run left. It makes
// the directory, and refuses one that a user other than root and the caller can write. It
// takes no lock, because a lock on a directory that the agents can open is theirs to hold: of
// two runs at once the slower one may find its temporary file removed.
func replaceFile(name string, text []byte) error {
	dir := filepath.Dir(name)
	if err := trust.MakeDirectory(dir, trust.Only(os.Geteuid())); err != nil {
		return err
	}
	left, _ := fs.Glob(os.DirFS(dir), "."+filepath.Base(name)+"*")
	for _, old := range left {
		_ = os.RemoveAll(filepath.Join(dir, old))
	}
	if err := renameio.WriteFile(name, text, 0o644, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o644)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// remove removes a file, if there is one.
func remove(name string) error {
	err := os.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// filesOf returns the files of a layer.
func filesOf(texts map[string][]byte) (fs.FS, error) {
	archive := &txtar.Archive{}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		archive.Files = append(archive.Files, txtar.File{Name: name, Data: texts[name]})
	}
	return txtar.FS(archive)
}
