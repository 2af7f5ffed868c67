package volume

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fileInfo describes a file as fstatat does. Sys returns a *syscall.Stat_t, as
// that of the os package does.
type fileInfo struct {
	name string
	st   unix.Stat_t
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.st.Size }
func (i fileInfo) Mode() fs.FileMode  { return fileMode(i.st.Mode) }
func (i fileInfo) ModTime() time.Time { return time.Unix(i.st.Mtim.Unix()) }
func (i fileInfo) IsDir() bool        { return i.Mode().IsDir() }

func (i fileInfo) Sys() any {
	return &syscall.Stat_t{
		Dev: i.st.Dev, Ino: i.st.Ino, Nlink: i.st.Nlink, Mode: i.st.Mode, Uid: i.st.Uid, Gid: i.st.Gid,
		Rdev: i.st.Rdev, Size: i.st.Size, Blksize: i.st.Blksize, Blocks: i.st.Blocks,
		Atim: syscall.Timespec(i.st.Atim), Mtim: syscall.Timespec(i.st.Mtim), Ctim: syscall.Timespec(i.st.Ctim),
	}
}

func fileMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		m |= fs.ModeDir
	case unix.S_IFLNK:
		m |= fs.ModeSymlink
	case unix.S_IFIFO:
		m |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		m |= fs.ModeSocket
	case unix.S_IFBLK:
		m |= fs.ModeDevice
	case unix.S_IFCHR:
		m |= fs.ModeDevice | fs.ModeCharDevice
	}
	if mode&unix.S_ISUID != 0 {
		m |= fs.ModeSetuid
	}
	if mode&unix.S_ISGID != 0 {
		m |= fs.ModeSetgid
	}
	if mode&unix.S_ISVTX != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// scan calls each for every entry of the open directory fd, in the directory's order, until
// each returns false. It closes fd.
func scan(fd int, each func(name string, kind fs.FileMode) bool) error {
	// By this path go 1.26.0 asks for a kind that the file system does not report.
	dir := os.NewFile(uintptr(fd), "/proc/self/fd/"+strconv.Itoa(fd))
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(256)
		for _, entry := range entries {
			if !each(entry.Name(), entry.Type()) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("getdents: %w", unwrapPath(err))
		}
	}
}

// A file is an open regular file. It keeps the description from when it was opened.
type file struct {
	*os.File
	info fileInfo
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
