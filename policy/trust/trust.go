// Package trust finds out who could have written or replaced a file or a directory.
//
// A path is only as safe as every directory on the way: whoever can write to one of them
// can replace what is below. Check therefore looks at each component of the path, and at
// the targets of links, whose directories count too.
package trust

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"hermes-reconcile/policy"
)

// A Judge returns why a file or directory is not trusted, or "". Above is how many
// components of the path follow: 0 for what is checked, 1 for its folder.
type Judge func(st *syscall.Stat_t, above int) string

// Only trusts what root or the user owner owns and no other user can write. A directory
// above the folder may be open to all if it is sticky, like /tmp: users can replace only
// their own files in it, and what is below is judged too.
func Only(owner int) Judge {
	return func(st *syscall.Stat_t, above int) string {
		switch {
		case st.Uid != 0 && int(st.Uid) != owner && owner == 0:
			return "is not owned by root"
		case st.Uid != 0 && int(st.Uid) != owner:
			return "is owned neither by root nor by the caller"
		case st.Mode&0o022 != 0 && !(above > 1 && sticky(st)):
			return "can be written by others than its owner"
		}
		return ""
	}
}

// NotBy trusts what a user of these groups can neither write nor make writable. It serves
// for files of an operator, which a mount often shows as another user's.
func NotBy(uid int, gids ...int) Judge {
	return func(st *syscall.Stat_t, above int) string {
		switch {
		case int(st.Uid) == uid:
			return fmt.Sprintf("is owned by uid %d, the user of the agents", uid)
		case above > 1 && sticky(st):
			return ""
		case st.Mode&0o002 != 0, st.Mode&0o020 != 0 && slices.Contains(gids, int(st.Gid)):
			return fmt.Sprintf("can be written by uid %d, the user of the agents", uid)
		}
		return ""
	}
}

// Anybody trusts everything. It serves where only the kind and the size of a file matter.
func Anybody(*syscall.Stat_t, int) string { return "" }

func sticky(st *syscall.Stat_t) bool { return st.Mode&syscall.S_ISVTX != 0 }

// An Error is a file or directory that is not trusted.
type Error struct {
	Path string // of what was judged, which may be above what was asked for
	Why  string
}

func (e *Error) Error() string { return e.Path + " " + e.Why }

// Mend tells how to make it trusted.
func (e *Error) Mend() string {
	return fmt.Sprintf("keep it off the volume, and make root the owner: chown root:root %s && chmod go-w %[1]s", e.Path)
}

// maxLinks is how many links Linux follows in one path.
const maxLinks = 40

// Check judges an existing file or directory and every directory on the way, and returns
// its path without links. It follows a link only when the link and its directory are
// trusted. The error is an *Error, or that of looking, such as fs.ErrNotExist.
func Check(path string, judge Judge) (real string, err error) {
	real, _, err = check(path, judge, 0)
	return real, err
}

// check is Check for a path that stands above other components of a path. It also returns
// what is there.
func check(path string, judge Judge, above int) (real string, info os.FileInfo, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return "", nil, err
	}
	real = "/"
	rest := components(path)
	for links := 0; ; {
		info, err := os.Lstat(real)
		if err == nil {
			err = judgeOne(real, info, judge, above+len(rest))
		}
		if err != nil {
			return "", nil, err
		}
		switch {
		case info.Mode()&os.ModeSymlink != 0:
			if links++; links > maxLinks {
				return "", nil, &os.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
			}
			target, err := os.Readlink(real)
			if err != nil {
				return "", nil, err
			}
			rest = append(components(target), rest...)
			real = filepath.Dir(real)
			if filepath.IsAbs(target) {
				real = "/"
			}
		case len(rest) == 0:
			return real, info, nil
		default:
			// real has no link in it, so Join resolves ".." as the kernel does.
			real, rest = filepath.Join(real, rest[0]), rest[1:]
		}
	}
}

func components(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

func judgeOne(path string, info os.FileInfo, judge Judge, above int) error {
	st := info.Sys().(*syscall.Stat_t)
	if info.Mode()&os.ModeSymlink != 0 {
		// Every link has the mode 0777, and only its owner and who can write to its
		// directory can replace it.
		owner := *st
		owner.Mode &^= 0o7777
		st = &owner
	}
	why := judge(st, above)
	if why != "" && info.IsDir() && st.Mode&0o022 != 0 {
		closed := *st
		closed.Mode &^= 0o022
		if judge(&closed, above) == "" && sealed(path) {
			return nil
		}
	}
	if why != "" {
		return &Error{path, why}
	}
	return nil
}

// Open checks a path and opens the regular file there for reading. It does not wait for a
// FIFO. The error wraps policy.ErrNotRegular for anything but a regular file.
func Open(path string, judge Judge) (*os.File, os.FileInfo, error) {
	f, info, err := open(path, judge, 0)
	if err == nil && info.IsDir() {
		f.Close()
		err = policy.ErrNotRegular
	}
	if errors.Is(err, policy.ErrNotRegular) {
		err = fmt.Errorf("%s: %w", path, policy.ErrNotRegular)
	}
	return f, info, err
}

// open checks a path, opens the regular file or the directory there, and judges that again.
func open(path string, judge Judge, above int) (*os.File, os.FileInfo, error) {
	real, _, err := check(path, judge, above)
	if err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(real, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errors.Is(err, syscall.ENXIO) {
		err = policy.ErrNotRegular // a socket
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = policy.ErrNotRegular
	}
	if err == nil {
		err = judgeOne(real, info, judge, 0)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Read reads a regular file as Open opens it, of at most limit bytes.
func Read(path string, judge Judge, limit int64) ([]byte, error) {
	f, _, err := Open(path, judge)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadAll(f, path, limit)
}

// ReadAll reads an open file of at most limit bytes. The error names the file.
func ReadAll(f fs.File, name string, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is too large, want at most %d bytes", name, limit)
	}
	return text, err
}

// Program checks that a path is a trusted file that can be executed.
func Program(path string, judge Judge) error {
	_, info, err := check(path, judge, 0)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: %w", path, policy.ErrNotRegular)
	case info.Mode()&0o111 == 0:
		return &Error{path, "is not executable"}
	}
	return nil
}

// Directory checks that a path is a trusted directory, whose files are then as safe as
// their own owners and modes.
func Directory(path string, judge Judge) error {
	_, info, err := check(path, judge, 1)
	if err == nil && !info.IsDir() {
		err = &os.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	}
	return err
}

// MakeDirectory makes a directory and those above it that are missing, with the mode 0755.
// It makes nothing below a directory that is not trusted.
func MakeDirectory(path string, judge Judge) error {
	err := Directory(path, judge)
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := MakeDirectory(filepath.Dir(path), judge); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return Directory(path, judge)
}

// Files returns a directory of trusted files and directories. Whatever is opened is checked
// with everything above it, as Check does. Nothing but a regular file or a directory can be
// opened.
func Files(dir string, judge Judge) fs.FS { return files{dir, judge} }

type files struct {
	dir   string
	judge Judge
}

func (f files) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) || f.dir == "" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	above := 0
	if name == "." {
		above = 1 // what counts is below it
	}
	file, _, err := open(filepath.Join(f.dir, name), f.judge, above)
	if err != nil {
		return nil, err
	}
	return file, nil
}
