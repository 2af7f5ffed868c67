package bundle

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// trustDirectory returns an error if a user other than root and the caller can change
// the content of a directory, or replace the directory or one above it.
func trustDirectory(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if real, err = filepath.Abs(real); err != nil {
		return err
	}
	for at := real; ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return err
		}
		// In a directory with the sticky bit, users cannot replace what others own.
		if err := trust(at, info, at != real); err != nil {
			return err
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

func trust(name string, info fs.FileInfo, stickyIsEnough bool) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user, want root", name)
	case info.Mode().Perm()&0o022 != 0 && !(stickyIsEnough && info.Mode()&fs.ModeSticky != 0):
		return fmt.Errorf("%s can be written by others, want mode 0755 at most", name)
	}
	return nil
}
