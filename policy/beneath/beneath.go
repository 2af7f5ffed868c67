// Package beneath reads and writes files below an open directory. It follows no link in
// any component of a name and never blocks on a FIFO, so another user who can write to
// the directory cannot lead this process elsewhere or hold it up.
package beneath

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// maxFile bounds how many bytes Read returns. The largest file of a slot is
// death_tally, with at most 4096 records of 14 bytes.
const maxFile = 64 << 10

// A Dir is the descriptor of an open directory. Names below it are relative, such as
// log/supervise/lock.
type Dir int

// A File is a regular file by its name below a Dir.
type File struct {
	Name    string
	Mode    uint32
	Content []byte
}

// OpenDir opens a directory that is not a link.
func OpenDir(path string) (Dir, error) {
	fd, err := openat(unix.AT_FDCWD, path, directory, 0)
	return Dir(fd), err
}

const directory = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

func (d Dir) Close() { _ = unix.Close(int(d)) }

// OpenDir opens a directory. The error for another kind of file is ENOTDIR, for a link
// ENOTDIR or ELOOP.
func (d Dir) OpenDir(name string) (Dir, error) {
	fd, err := d.Open(name, directory)
	return Dir(fd), err
}

// Open opens a file without blocking; the caller closes the descriptor. The error for a
// link is ELOOP. Open does without openat2, which older kernels and system call filters
// refuse; openat2 would save 2 ms in 480 slots.
func (d Dir) Open(name string, flags int) (int, error) { return d.OpenFile(name, flags, 0) }

// OpenFile is Open with the mode of a file that it makes.
func (d Dir) OpenFile(name string, flags int, mode uint32) (int, error) {
	at := int(d)
	for {
		component, rest, more := strings.Cut(name, "/")
		how := flags | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		if more {
			how = directory
		}
		fd, err := openat(at, component, how, mode)
		if err == unix.ENOTDIR && more && Dir(at).kind(component) == unix.S_IFLNK {
			err = unix.ELOOP // O_DIRECTORY wins over O_NOFOLLOW
		}
		if at != int(d) {
			_ = unix.Close(at)
		}
		if err != nil || !more {
			return fd, err
		}
		at, name = fd, rest
	}
}

func openat(dirfd int, name string, flags int, mode uint32) (int, error) {
	return ignoringEINTR(func() (int, error) { return unix.Openat(dirfd, name, flags, mode) })
}

// ignoringEINTR repeats a system call that a signal interrupted, which happens
// on slow and network file systems.
func ignoringEINTR(call func() (int, error)) (n int, err error) {
	for err = unix.EINTR; err == unix.EINTR; {
		n, err = call()
	}
	return n, err
}

// OpenRegular opens a regular file as OpenFile does. The error is policy.ErrNotRegular when
// another kind of file has the name.
func (d Dir) OpenRegular(name string, flags int, mode uint32) (fd int, st unix.Stat_t, err error) {
	fd, err = d.OpenFile(name, flags, mode)
	switch {
	case err == unix.ELOOP, err == unix.ENXIO, err == unix.EISDIR:
		return -1, st, policy.ErrNotRegular
	case err != nil:
		return -1, st, err
	}
	err = unix.Fstat(fd, &st)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = policy.ErrNotRegular
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, st, err
	}
	return fd, st, nil
}

// InParent calls do with the directory that holds a name, and the last part of the name.
func (d Dir) InParent(name string, do func(parent Dir, last string) error) error {
	dir, last := path.Split(name)
	if dir == "" {
		return do(d, last)
	}
	parent, err := d.OpenDir(path.Clean(dir))
	if err != nil {
		return err
	}
	defer parent.Close()
	return do(parent, last)
}

// Read reads a regular file. It fails when the file has more than 64 KiB.
func (d Dir) Read(name string) ([]byte, error) {
	fd, st, err := d.OpenRegular(name, unix.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	defer unix.Close(fd)
	if st.Size > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, want at most %d", name, st.Size, maxFile)
	}
	return readFull(fd, int(st.Size))
}

// readFull reads up to size bytes; a shorter file gives fewer.
func readFull(fd, size int) ([]byte, error) {
	data := make([]byte, size)
	have := 0
	for have < size {
		n, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, data[have:]) })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		have += n
	}
	return data[:have], nil
}

// Has reports whether a regular file has this name, mode and content, and belongs to the
// user owner; -1 is any. A missing file and another kind of file are not errors.
func (d Dir) Has(f File, owner int) (bool, error) {
	fd, st, err := d.OpenRegular(f.Name, unix.O_RDONLY, 0)
	if errors.Is(err, policy.ErrNotRegular) || IsAbsent(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open %s: %w", f.Name, err)
	}
	defer unix.Close(fd)
	if st.Mode&0o7777 != f.Mode || st.Size != int64(len(f.Content)) || owner >= 0 && int(st.Uid) != owner {
		return false, nil
	}
	data, err := readFull(fd, len(f.Content))
	return err == nil && bytes.Equal(data, f.Content), err
}

// Names returns the names in a directory, at most so many.
func (d Dir) Names(name string, most int) ([]string, error) {
	fd, err := d.Open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return Names(fd, most)
}

// Names returns the names in a directory, at most so many, and closes its descriptor.
func Names(fd, most int) ([]string, error) {
	dir := os.NewFile(uintptr(fd), "")
	defer dir.Close()
	names, err := dir.Readdirnames(most)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

// Lstat describes what has the name, also a link.
func (d Dir) Lstat(name string) (st unix.Stat_t, err error) {
	err = unix.Fstatat(int(d), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err
}

func (d Dir) kind(name string) uint32 {
	st, _ := d.Lstat(name)
	return st.Mode & unix.S_IFMT
}

// Exists reports whether anything has the name, also a dangling link.
func (d Dir) Exists(name string) (bool, error) {
	_, err := d.Lstat(name)
	if IsAbsent(err) {
		return false, nil
	}
	return err == nil, err
}

// Mkdir makes a directory. The umask takes bits of the mode; main sets it to 022.
func (d Dir) Mkdir(name string, mode uint32) error {
	if err := unix.Mkdirat(int(d), name, mode); err != nil {
		return fmt.Errorf("make the directory %s: %w", name, err)
	}
	return nil
}

// Create makes a new file; the umask counts as for Mkdir. The name must not exist: the
// error then is EEXIST. On other errors a part of the file may exist.
func (d Dir) Create(f File) error {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(int(d), f.Name, flags, f.Mode)
	if err != nil {
		return fmt.Errorf("make %s: %w", f.Name, err)
	}
	err = writeFull(fd, f.Content)
	if err := errors.Join(err, unix.Close(fd)); err != nil {
		return fmt.Errorf("write %s: %w", f.Name, err)
	}
	return nil
}

func writeFull(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := ignoringEINTR(func() (int, error) { return unix.Write(fd, data) })
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// Replace makes a file as staging/temp and renames it over the old one, so no reader
// sees a part of it. temp must not exist. On error temp is removed and the old file stays.
func (d Dir) Replace(f File, staging Dir, temp string) error {
	err := d.InParent(f.Name, func(parent Dir, name string) error {
		err := staging.Create(File{Name: temp, Mode: f.Mode, Content: f.Content})
		if err == nil {
			err = unix.Renameat(int(staging), temp, int(parent), name)
		}
		if err == nil || errors.Is(err, unix.EEXIST) { // temp is another's
			return err
		}
		if left := staging.Remove(temp); left != nil && left != unix.ENOENT {
			err = errors.Join(err, left)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("replace %s: %w", f.Name, err)
	}
	return nil
}

// Remove removes a file that is not a directory.
func (d Dir) Remove(name string) error { return unix.Unlinkat(int(d), name, 0) }

// IsAbsent reports whether an error means that nothing has the name, or that its parent
// is not a directory.
func IsAbsent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
}

// IsForbidden reports whether an error means that this user may not do it.
func IsForbidden(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS)
}
