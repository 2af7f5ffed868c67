package volume

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
)

// A directory is the directory of one profile: one descriptor, through which
// everything else is opened.
type directory struct {
	profile policy.Profile
	file    *os.File // nil: nothing can be opened, and broken says why
	broken  error
	self    fs.FileInfo // of a broken directory; nil when unknown

	// listed makes the directory answer from one listing that a name is missing, which is
	// true of most files that facts look for. That takes a sixth off the processor time of
	// a collection.
	listed bool
	list   sync.Once
	names  map[string]bool // nil: too many entries, or they cannot be listed

	mu   sync.Mutex
	kept map[string]any
}

// use calls f with the descriptor, which stays open meanwhile. It adds the operation and
// the name to an error, which wraps policy.ErrNotRegular for a link, and for another file
// where a directory is wanted.
func (d *directory) use(op, name string, f func(fd beneath.Dir) error) error {
	err := d.broken
	switch {
	case err != nil:
	case checkName(name) != nil && (name != "." || op == "open"):
		err = fs.ErrInvalid
	default:
		conn, connErr := d.file.SyscallConn()
		if connErr != nil || conn.Control(func(fd uintptr) {
			if err = unix.ENOENT; !d.absent(beneath.Dir(fd), name) {
				err = f(beneath.Dir(fd))
			}
		}) != nil {
			err = fs.ErrClosed
		}
	}
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		err = policy.ErrNotRegular
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// checkName refuses names that would leave the directory or are the directory.
func checkName(name string) error {
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return fs.ErrInvalid
		}
	}
	return nil
}

const maxListed = 256

// absent reports whether the first part of a name was missing when the directory was
// listed.
func (d *directory) absent(fd beneath.Dir, name string) bool {
	if !d.listed || name == "." || strings.Contains(name, "\x00") {
		return false
	}
	d.list.Do(func() { d.names = listNames(fd) })
	first, _, _ := strings.Cut(name, "/")
	return d.names != nil && !d.names[first]
}

func listNames(dir beneath.Dir) map[string]bool {
	fd, err := dir.Open(".", listFlags)
	if err != nil {
		return nil
	}
	listed, err := beneath.Names(fd, maxListed+1)
	if err != nil || len(listed) > maxListed {
		return nil
	}
	names := make(map[string]bool, len(listed))
	for _, name := range listed {
		names[name] = true
	}
	return names
}

// close closes the directory once nobody uses it any more.
func (d *directory) close() { _ = d.file.Close() }

func (d *directory) openAt(name string, flags int) (fd int, err error) {
	err = d.use("opendir", name, func(at beneath.Dir) (err error) {
		fd, err = at.Open(name, flags)
		return err
	})
	return fd, err
}

func (d *directory) Profile() policy.Profile { return d.profile }

func (d *directory) Open(name string) (policy.File, error) {
	f, err := d.openFile(name)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d *directory) openFile(name string) (*file, error) {
	fd, st := -1, unix.Stat_t{}
	err := d.use("open", name, func(at beneath.Dir) (err error) {
		fd, st, err = at.OpenRegular(name, unix.O_RDONLY, 0)
		return err
	})
	if err != nil {
		return nil, err // most files of most profiles are missing
	}
	return &file{os.NewFile(uintptr(fd), path.Base(name)), fileInfo{path.Base(name), st}}, nil
}

func (d *directory) Lstat(name string) (fs.FileInfo, error) {
	if name == "." && d.broken != nil && d.self != nil {
		return d.self, nil
	}
	var st unix.Stat_t
	err := d.use("lstat", name, func(at beneath.Dir) error {
		if name == "." {
			return unix.Fstat(int(at), &st)
		}
		return at.InParent(name, func(parent beneath.Dir, last string) (err error) {
			st, err = parent.Lstat(last)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return fileInfo{name: path.Base(name), st: st}, nil
}

// remove removes a file, or a link as such, and reports whether it was there.
func (d *directory) remove(name string) (was bool, err error) {
	err = d.use("unlink", name, func(fd beneath.Dir) error { return fd.InParent(name, beneath.Dir.Remove) })
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (d *directory) ReadDir(name string, limit int) (names []string, err error) {
	err = d.use("readdir", name, func(at beneath.Dir) error {
		fd, err := at.Open(name, listFlags)
		if err == nil {
			names, err = beneath.Names(fd, limit)
		}
		return err
	})
	slices.Sort(names)
	return names, err
}

func (d *directory) Writable() bool {
	return d.use("access", ".", func(fd beneath.Dir) error {
		return unix.Faccessat(int(fd), ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	}) == nil
}

// LockHeld takes a shared lock for an instant if the file is not locked, which is the only
// way to see an flock of another container.
func (d *directory) LockHeld(name string) (held bool, err error) {
	f, err := d.openFile(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return probeLock(int(f.Fd()))
}

func probeLock(fd int) (held bool, err error) {
	record := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err = unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, &record)
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return false, err
	}
	if err == nil && record.Type != unix.F_UNLCK {
		return true, nil
	}
	err = lock(fd, unix.LOCK_SH)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return true, nil
	case err != nil:
		return false, err
	}
	return false, unix.Flock(fd, unix.LOCK_UN)
}

// lock takes a lock on a file, if it is free. A signal may interrupt the system call on slow and
// network file systems.
func lock(fd, kind int) error {
	for {
		if err := unix.Flock(fd, kind|unix.LOCK_NB); err != unix.EINTR {
			return err
		}
	}
}

func (d *directory) Remember(key string, make func() any) any {
	d.mu.Lock()
	defer d.mu.Unlock()
	if value, ok := d.kept[key]; ok {
		return value
	}
	if d.kept == nil {
		d.kept = map[string]any{}
	}
	value := make()
	d.kept[key] = value
	return value
}
