package beneath

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// atOnce is how many entries of a directory are read together.
const atOnce = 128

// flat is how many levels of a tree are removed one below the other. What is deeper moves
// to the top of the tree first.
const flat = 8

// maxDirectories bounds how many directories RemoveAll removes: whoever works in the
// deepest directory of a tree can make another one below it for ever.
const maxDirectories = 1 << 18

// RemoveAll removes what has the name, also a tree of any depth: the depth costs neither
// descriptors nor memory, and no path grows too long. What has no such name is removed
// already.
func (d Dir) RemoveAll(name string) error {
	err := d.Remove(name)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err == unix.EISDIR {
		err = (&removal{}).directory(d, name, 1)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

type removal struct {
	top         Dir // of the tree
	directories int // so far
}

func (r *removal) directory(parent Dir, name string, level int) error {
	if r.directories++; r.directories > maxDirectories {
		return fmt.Errorf("it has more than %d directories", maxDirectories)
	}
	file, err := parent.openToRemove(name)
	if err != nil {
		return err
	}
	defer file.Close()
	dir := Dir(file.Fd())
	if level == 1 {
		r.top = dir
	}
	err = eachEntry(file, func(entry string) error {
		if level < flat {
			return r.directory(dir, entry, level+1)
		}
		return unix.Renameat2(int(dir), entry, int(r.top), rand.Text(), unix.RENAME_NOREPLACE)
	})
	if err == nil {
		err = unix.Unlinkat(int(parent), name, unix.AT_REMOVEDIR)
	}
	return err
}

// openToRemove opens a directory, and takes it from another user who could fill it faster
// than it is emptied.
func (d Dir) openToRemove(name string) (*os.File, error) {
	fd, err := d.Open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil && os.Geteuid() == 0 && (st.Uid != 0 || st.Mode&0o022 != 0) {
		err = errors.Join(unix.Fchown(fd, 0, 0), unix.Fchmod(fd, 0o700))
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// eachEntry removes the entries of a directory, and calls remove for each that is a
// directory, until none is left.
func eachEntry(dir *os.File, remove func(name string) error) error {
	for {
		if _, err := dir.Seek(0, io.SeekStart); err != nil {
			return err
		}
		names, err := dir.Readdirnames(atOnce)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(names) == 0 {
			return nil
		}
		for _, name := range names {
			err := Dir(dir.Fd()).Remove(name)
			if err == unix.EISDIR {
				err = remove(name)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
}
