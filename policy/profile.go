package policy

import (
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// RootProfile is the name of the profile whose directory is the home itself.
// It always exists, with or without a profile marker.
const RootProfile = "default"

// A Profile is a candidate: the root profile, or an entry of the directory
// "profiles" that is a directory or a link. Whether it deserves a slot is for
// the rules to say.
type Profile struct {
	// Name identifies the profile in documents, logs and operations. It is the
	// name of the directory, or a quoted form of it where that could not be
	// printed on one line; see ProfileName.
	Name string `json:"name"`
	// Dir is the directory relative to the home: "." for the root profile,
	// "profiles/<entry>" for a named one. It may hold any byte that a file name
	// may.
	Dir string `json:"-"`
}

// ProfileName returns the name under which a directory entry is known. An entry
// that is not printable UTF-8, or that holds a quote, comes back quoted in
// ASCII, so that different entries never share a name and no name breaks a line
// of a log. The entry "default" comes back as "profiles/default", which no
// entry can be called: the plain word is the root profile.
func ProfileName(entry string) string {
	if entry == RootProfile {
		return "profiles/" + RootProfile
	}
	printable := utf8.ValidString(entry) && !strings.ContainsFunc(entry, func(r rune) bool {
		return r == '"' || !unicode.IsPrint(r)
	})
	if printable {
		return entry
	}
	return strconv.QuoteToASCII(entry)
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

// A Directory is the directory of one profile on the volume. The agent itself
// can write there, so an implementation follows no link in any component, opens
// without blocking, and its methods are safe for concurrent use.
type Directory interface {
	// Profile says whose directory this is.
	Profile() Profile
	// Open opens a regular file for reading. Name may have several components,
	// separated by slashes. The error wraps fs.ErrNotExist where there is
	// nothing, ErrNotRegular where there is something else than a regular file
	// (a link included), and the system's error otherwise.
	Open(name string) (File, error)
	// Lstat describes name itself; "." is the directory. Errors as for Open.
	Lstat(name string) (fs.FileInfo, error)
	// Readlink returns where the link name points, without following it.
	Readlink(name string) (string, error)
	// ReadDir returns at most limit entries of the directory name, sorted, and
	// whether there were more.
	ReadDir(name string, limit int) (entries []fs.DirEntry, more bool, err error)
}
