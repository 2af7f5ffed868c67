package s6

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// maxFile bounds how many bytes are read from one file of a slot. The largest file
// that s6 makes is death_tally, with at most 4096 records of 14 bytes.
const maxFile = 64 << 10

// openBeneath opens a relative name, such as log/supervise/lock, without following a
// link in any component and without blocking. The caller closes the descriptor. It
// needs no openat2, which older kernels and system call filters refuse; that would
// save 1 ms in 480 slots.
func openBeneath(dirfd int, name string, flags int) (int, error) {
	at := dirfd
	for {
		component, rest, more := strings.Cut(name, "/")
		how := flags | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOFOLLOW
		if more {
			how = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		}
		fd, err := openOne(at, component, how)
		if err == unix.ENOTDIR && more && isLink(at, component) {
			err = unix.ELOOP // O_DIRECTORY wins over O_NOFOLLOW
		}
		if at != dirfd {
			_ = unix.Close(at)
		}
		if err != nil || !more {
			return fd, err
		}
		at, name = fd, rest
	}
}

func isLink(dirfd int, name string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
}

func openOne(dirfd int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dirfd, name, flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// openDirectory opens a directory as the start of other names. The error for another
// kind of file is ENOTDIR, for a link ENOTDIR or ELOOP.
func openDirectory(dirfd int, name string) (int, error) {
	return openBeneath(dirfd, name, unix.O_PATH|unix.O_DIRECTORY)
}

// readRegular reads a regular file of at most maxFile bytes. The error is
// policy.ErrNotRegular when another kind of file has the name.
func readRegular(dirfd int, name string) ([]byte, error) {
	fd, size, _, err := openRegular(dirfd, name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if size > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, want at most %d", name, size, maxFile)
	}
	return readFull(fd, int(size))
}

// openRegular opens a regular file for reading and returns its size and mode.
func openRegular(dirfd int, name string) (fd int, size int64, mode uint32, err error) {
	fd, err = openBeneath(dirfd, name, unix.O_RDONLY)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return -1, 0, 0, fmt.Errorf("%s: %w", name, policy.ErrNotRegular)
	}
	if err != nil {
		return -1, 0, 0, fmt.Errorf("open %s: %w", name, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return -1, 0, 0, fmt.Errorf("stat %s: %w", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		_ = unix.Close(fd)
		return -1, 0, 0, fmt.Errorf("%s: %w", name, policy.ErrNotRegular)
	}
	return fd, st.Size, st.Mode & 0o7777, nil
}

// readFull reads up to size bytes; a shorter file gives fewer.
func readFull(fd, size int) ([]byte, error) {
	data := make([]byte, size)
	have := 0
	for have < size {
		n, err := unix.Read(fd, data[have:])
		if err == unix.EINTR {
			continue
		}
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

// isFile reports whether name is a regular file with this mode and content. A missing
// file, and another kind of file, is false and no error.
func isFile(dirfd int, name string, mode uint32, content []byte) (bool, error) {
	fd, size, have, err := openRegular(dirfd, name)
	if errors.Is(err, policy.ErrNotRegular) || isAbsent(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	if have != mode || size != int64(len(content)) {
		return false, nil
	}
	data, err := readFull(fd, len(content))
	return err == nil && bytes.Equal(data, content), err
}

// isAbsent reports whether an error means that nothing has the name, or that its
// parent is not a directory.
func isAbsent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
}

// exists reports whether anything has the name, a dangling link included.
func exists(dirfd int, name string) (bool, error) {
	var st unix.Stat_t
	err := unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if isAbsent(err) {
		return false, nil
	}
	return err == nil, err
}
