package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// openBeneath opens name relative to the directory fd with flags. It opens one component after
// the other, so that it follows no link and needs no openat2, which some sandboxes forbid. It
// never blocks. The caller checks the kind of the file.
func openBeneath(fd int, name string, flags int, mode uint32) (int, error) {
	if err := checkName(name); err != nil {
		return -1, err
	}
	flags |= unix.O_NOFOLLOW | unix.O_CLOEXEC
	if flags&(unix.O_PATH|unix.O_DIRECTORY) == 0 {
		flags |= unix.O_NONBLOCK | unix.O_NOCTTY
	}
	first, rest, more := strings.Cut(name, "/")
	if !more {
		return openAt(fd, name, flags, mode)
	}
	next, err := openAt(fd, first, dirFlags, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(next)
	return openBeneath(next, rest, flags, mode)
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

// openAt opens one component. The error is policy.ErrNotRegular for a link, for a file where
// a directory is wanted or the reverse, and for a socket or a FIFO without a reader.
func openAt(fd int, name string, flags int, mode uint32) (int, error) {
	opened, err := ignoringEINTR(func() (int, error) { return unix.Openat(fd, name, flags, mode) })
	switch {
	case err == nil:
		return opened, nil
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ENXIO), errors.Is(err, unix.EISDIR):
		return -1, policy.ErrNotRegular
	}
	return -1, err
}

// openRegular opens name and makes sure that it is a regular file.
func openRegular(fd int, name string, flags int, mode uint32) (int, unix.Stat_t, error) {
	var st unix.Stat_t
	opened, err := openBeneath(fd, name, flags, mode)
	if err != nil {
		return -1, st, err
	}
	if err := unix.Fstat(opened, &st); err != nil {
		unix.Close(opened)
		return -1, st, fmt.Errorf("fstat: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(opened)
		return -1, st, policy.ErrNotRegular
	}
	return opened, st, nil
}

// ignoringEINTR repeats a system call that a signal interrupted, which happens
// on slow and network file systems.
func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
