package policy

import (
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"
)

// RootProfile is the name of the profile whose directory is the home itself.
// It always exists, with or without a profile marker.
const RootProfile = "default"

// A Profile is a candidate: the root profile, or an entry of the directory "profiles" that is
// a directory or a link. The rules decide whether it gets a slot.
type Profile struct {
	// Name identifies the profile in documents, logs and operations. It is the name of the
	// directory, quoted if it cannot be printed on one line; see ProfileName.
	Name string `json:"name"`
	// Dir is the directory relative to the home: "." for the root profile,
	// "profiles/<entry>" for a named profile. It may contain any byte that a file name may.
	Dir string `json:"-"`
}

// ProfileName returns the name of the profile in a directory entry. It quotes an entry in
// ASCII that is not printable UTF-8 or contains a quote, so that different entries never share
// a name and no name breaks a line of a log. For the entry "default" it returns
// "profiles/default", which is not the name of any entry: "default" is the root profile.
func ProfileName(entry string) string {
	if entry == RootProfile {
		return "profiles/" + RootProfile
	}
	printable := utf8.ValidString(entry) && !strings.ContainsFunc(entry, func(r rune) bool {
		return r == '"' || !Printable(r)
	})
	if printable {
		return entry
	}
	return strconv.QuoteToASCII(entry)
}

// ProfileNamed is the reverse of ProfileName. ok is false for a name that no profile can have.
func ProfileNamed(name string) (p Profile, ok bool) {
	entry := name
	switch {
	case name == RootProfile:
		return Profile{Name: name, Dir: "."}, true
	case name == "profiles/"+RootProfile:
		entry = RootProfile
	case strings.HasPrefix(name, `"`):
		entry, _ = strconv.Unquote(name)
	}
	ok = ProfileName(entry) == name && entry != "" && entry != "." && entry != ".." && !strings.Contains(entry, "/")
	return Profile{Name: name, Dir: "profiles/" + entry}, ok
}

// ErrNotRegular is the error for something on the volume that is not a regular file where
// only a regular file is read: a link, a FIFO, a device, a socket, a directory.
var ErrNotRegular = errors.New("not a regular file")

// A File is an open regular file. Stat describes it as it was when it was opened.
type File interface {
	io.Reader
	io.ReaderAt
	io.Closer
	Stat() (fs.FileInfo, error)
}

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

// A Directory is the directory of one profile on the volume. The agent itself
// can write there, so an implementation follows no link in any component, opens
// without blocking, and its methods are safe for concurrent use.
type Directory interface {
	// Profile returns the profile whose directory this is.
	Profile() Profile
	// Open opens a regular file for reading. Name may have several components, separated by
	// slashes. The error wraps fs.ErrNotExist if nothing has that name, ErrNotRegular if it
	// is a link or another kind of file, and the system's error otherwise.
	Open(name string) (File, error)
	// Lstat describes name itself; "." is the directory. Errors as for Open.
	Lstat(name string) (fs.FileInfo, error)
	// ReadDir returns at most limit names in the directory name, sorted.
	ReadDir(name string, limit int) ([]string, error)
	// Writable reports whether this process may create and remove files in the directory.
	// On a read-only file system it may not.
	Writable() bool
	// LockHeld reports whether a process holds a lock on a regular file: an flock or a record
	// lock. Errors as for Open.
	LockHeld(name string) (bool, error)
	// Remember returns what make returned at the first call for key, so that several sources
	// share one reading of a file. The value lives as long as the directory.
	Remember(key string, make func() any) any
}
