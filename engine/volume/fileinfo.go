package volume

import (
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fileInfo describes a file as fstatat does. Sys returns a *syscall.Stat_t, as that of the os
// package does. Only directories, links and regular files have a mode of their own; all else is
// fs.ModeIrregular.
type fileInfo struct {
	name string
	st   unix.Stat_t
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.st.Size }
func (i fileInfo) ModTime() time.Time { return time.Unix(i.st.Mtim.Unix()) }
func (i fileInfo) IsDir() bool        { return i.Mode().IsDir() }

func (i fileInfo) Mode() fs.FileMode {
	permissions := fs.FileMode(i.st.Mode & 0o777)
	switch i.st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return permissions
	case unix.S_IFDIR:
		return permissions | fs.ModeDir
	case unix.S_IFLNK:
		return permissions | fs.ModeSymlink
	}
	return permissions | fs.ModeIrregular
}

func (i fileInfo) Sys() any {
	return &syscall.Stat_t{
		Dev: i.st.Dev, Ino: i.st.Ino, Nlink: i.st.Nlink, Mode: i.st.Mode, Uid: i.st.Uid, Gid: i.st.Gid,
		Rdev: i.st.Rdev, Size: i.st.Size, Blksize: i.st.Blksize, Blocks: i.st.Blocks,
		Atim: syscall.Timespec(i.st.Atim), Mtim: syscall.Timespec(i.st.Mtim), Ctim: syscall.Timespec(i.st.Ctim),
	}
}

// A file is an open regular file. It keeps the description from when it was opened.
type file struct {
	*os.File
	info fileInfo
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
