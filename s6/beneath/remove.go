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

// maxDirectories bounds how many directories RemoveAll removes: whoever works in the
// deepest directory of a tree can make another one below it for ever.
const maxDirectories = 1 << 18

// RemoveAll removes what has the name, also a tree of any depth. A tree is flattened: a
// directory of a directory moves to the top of the tree before its parent goes. So the
// depth costs neither descriptors nor memory, and no path grows too long. What has no
// such name is removed already.
func (d Dir) RemoveAll(name string) error {
	err := d.Remove(name)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err != unix.EISDIR {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	top, err := d.openToRemove(name)
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	defer top.Close()
	removed := 0
	err = eachEntry(top, func(entry string) error {
		if removed++; removed > maxDirectories {
			return fmt.Errorf("it has more than %d directories", maxDirectories)
		}
		child, err := Dir(top.Fd()).openToRemove(entry)
		if err != nil {
			return err
		}
		defer child.Close()
		err = eachEntry(child, func(grandchild string) error {
			return unix.Renameat2(int(child.Fd()), grandchild, int(top.Fd()), rand.Text(), unix.RENAME_NOREPLACE)
		})
		if err == nil {
			err = unix.Unlinkat(int(top.Fd()), entry, unix.AT_REMOVEDIR)
		}
		return err
	})
	if err == nil {
		err = unix.Unlinkat(int(d), name, unix.AT_REMOVEDIR)
	}
	if err != nil {
		return fmt.Errorf("remove the directory %s: %w", name, err)
	}
	return nil
}

// openToRemove opens a directory and takes it from its owner, who could otherwise fill it
// faster than it is emptied.
func (d Dir) openToRemove(name string) (*os.File, error) {
	fd, err := d.Open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		err = unix.Fchown(fd, 0, 0)
	}
	if err = errors.Join(err, unix.Fchmod(fd, 0o700)); err != nil {
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
