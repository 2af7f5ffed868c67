// Package hometest makes homes for tests: the directory that holds the profiles.
package hometest

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// New makes a home from files by name, and returns its path. See Put.
func New(t testing.TB, files map[string]string) string {
	t.Helper()
	home := t.TempDir()
	for name, text := range files {
		Put(t, home, name, text)
	}
	return home
}

// Put makes one file below home, with its parents. A name that ends in a slash makes a
// directory. The text "-> TARGET" makes a link, "fifo" a FIFO, "huge" a sparse file of
// 50 GiB, and any other text a file that holds it.
func Put(t testing.TB, home, name, text string) {
	t.Helper()
	path := filepath.Join(home, name)
	parent := filepath.Dir(path)
	if strings.HasSuffix(name, "/") {
		parent = path
	}
	err := os.MkdirAll(parent, 0o755)
	switch target, link := strings.CutPrefix(text, "-> "); {
	case err != nil || strings.HasSuffix(name, "/"):
	case link:
		err = os.Symlink(target, path)
	case text == "fifo":
		err = syscall.Mkfifo(path, 0o644)
	case text == "huge":
		if err = os.WriteFile(path, nil, 0o644); err == nil {
			err = os.Truncate(path, 50<<30)
		}
	default:
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
