package volume

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"sync"
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

// Identity calls the package function, for users of a policy.Directory.
func (i fileInfo) Identity() string { return Identity(i) }

// Identity distinguishes files of one name: it differs when the file was replaced, written
// or made longer. It is opaque, and empty when info is not of this system.
func Identity(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return strconv.FormatUint(st.Ino, 36) + "-" +
		strconv.FormatInt(info.ModTime().UnixNano(), 36) + "-" +
		strconv.FormatInt(info.Size(), 36)
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

// dirEntry is an entry of a directory; its Info does not follow a link.
type dirEntry struct {
	dir          *directory
	parent, name string
	kind         fs.FileMode
}

func (e dirEntry) Name() string      { return e.name }
func (e dirEntry) IsDir() bool       { return e.kind.IsDir() }
func (e dirEntry) Type() fs.FileMode { return e.kind }

func (e dirEntry) Info() (fs.FileInfo, error) {
	if e.parent == "." {
		return e.dir.Lstat(e.name)
	}
	return e.dir.Lstat(e.parent + "/" + e.name)
}

// scan calls each for every entry of the open directory fd, in the directory's order, until
// each returns false. When the file system does not report the kind of an entry, scan looks
// it up below fd; os.File would look it up by path.
func scan(fd int, each func(name string, kind fs.FileMode) bool) error {
	kept := listingBuffers.Get().(*[]byte)
	defer listingBuffers.Put(kept)
	buf := *kept
	for {
		n, err := ignoringEINTR(func() (int, error) { return unix.Getdents(fd, buf) })
		if err != nil {
			return fmt.Errorf("getdents: %w", err)
		}
		if n == 0 {
			return nil
		}
		for rest := buf[:n]; len(rest) > 0; {
			name, kind, size := parseEntry(rest)
			if size == 0 || size > len(rest) {
				return errors.New("getdents: an entry that makes no sense")
			}
			rest = rest[size:]
			if name == "." || name == ".." {
				continue
			}
			if !each(name, entryKind(fd, name, kind)) {
				return nil
			}
		}
	}
}

var listingBuffers = sync.Pool{New: func() any {
	buf := make([]byte, 32*1024)
	return &buf
}}

// parseEntry reads one struct linux_dirent64: inode and offset of 8 bytes, 2
// bytes of length, one of type, then the name up to a zero byte.
func parseEntry(b []byte) (name string, kind byte, size int) {
	const header = 19
	if len(b) < header {
		return "", 0, 0
	}
	size = int(binary.NativeEndian.Uint16(b[16:]))
	if size < header || size > len(b) {
		return "", 0, 0
	}
	return unix.ByteSliceToString(b[header:size]), b[18], size
}

// entryKind returns the kind of an entry. The kernel's DT_ constants are the S_IF constants
// without their lower 12 bits.
func entryKind(fd int, name string, kind byte) fs.FileMode {
	if mode := fileMode(uint32(kind) << 12).Type(); mode != 0 || kind == unix.DT_REG {
		return mode
	}
	var st unix.Stat_t
	if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return fs.ModeIrregular
	}
	return fileMode(st.Mode).Type()
}
