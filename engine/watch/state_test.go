package watch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hermes-reconcile/policy/trust"
)

// The state is read if nobody else could have written it, and reading it always ends.
func TestReadState(t *testing.T) {
	make := map[string]func(path string) error{
		"whole": func(path string) error { return os.WriteFile(path, []byte(`{"pid": 7}`), 0o644) },
		"none":  func(string) error { return nil },
		"open": func(path string) error {
			return errors.Join(os.WriteFile(path, []byte("{}"), 0o644), os.Chmod(path, 0o666))
		},
		"FIFO":  func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"giant": func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 1<<40)) },
		"cut":   func(path string) error { return os.WriteFile(path, []byte(`{"pid": `), 0o644) },
	}
	isUntrusted := func(err error) bool {
		_, ok := errors.AsType[*trust.Error](err)
		return ok
	}
	wants := map[string]func(err error) bool{
		"whole": func(err error) bool { return err == nil },
		"none":  func(err error) bool { return errors.Is(err, fs.ErrNotExist) },
		"open":  isUntrusted,
		"FIFO":  func(err error) bool { return strings.Contains(err.Error(), "not a regular file") },
		"giant": func(err error) bool { return strings.Contains(err.Error(), "1048576") },
		"cut":   func(err error) bool { return strings.Contains(err.Error(), StateFile+": unexpected end") },
	}
	for name, want := range wants {
		dir := filepath.Join(t.TempDir(), "run")
		if err := errors.Join(os.Mkdir(dir, 0o755), make[name](filepath.Join(dir, StateFile))); err != nil {
			t.Fatal(err)
		}
		s, err := ReadState(dir)
		if !want(err) || err == nil && (s.PID != 7 || s.LookedUnix == 0) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}
