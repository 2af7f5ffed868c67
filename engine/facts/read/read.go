// Package read reads the files that facts come from, and parses their formats: JSON,
// YAML, .env, /proc. It knows the formats, not the facts.
//
// The agent can write most of these files, so every reader bounds what it reads, and no
// error quotes a file. Missing, unreadable, invalid and empty stay four different
// outcomes.
package read

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
)

// How much of a file is read, in bytes.
const (
	MaxState  = 64 << 10 // state files and .env
	MaxConfig = 1 << 20  // config.yaml and other files that an operator writes
	MaxTail   = 64 << 10 // the end of a log
)

// An Outcome is how reading went. Every fact has one. A reader of bytes leaves Status
// empty when there was no error, because only a parser can tell whether they are valid.
type Outcome struct {
	Status string `json:"status" about:"how the collection went" words:"status"`
	Error  string `json:"error,omitempty" about:"what went wrong; never quotes what was read"`
}

// Recorded is the outcome of a file that was read and understood.
var Recorded = Outcome{Status: policy.StatusRecorded}

// Invalid returns the outcome of a file that was read and is not valid.
func Invalid(format string, args ...any) Outcome {
	return Outcome{policy.StatusInvalid, fmt.Sprintf(format, args...)}
}

// OutcomeOf turns the error of opening or describing a file into a status.
func OutcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Outcome{}
	case errors.Is(err, fs.ErrNotExist):
		return Outcome{Status: policy.StatusMissing}
	case errors.Is(err, policy.ErrNotRegular):
		return Outcome{policy.StatusUnreadable, "a link, or not a regular file"}
	}
	if untrusted, ok := errors.AsType[*trust.Error](err); ok {
		return Outcome{policy.StatusUnreadable, "it, or a folder above it, " + untrusted.Why}
	}
	return Outcome{policy.StatusUnreadable, Reason(err)}
}

// Reason returns the system's text for an error, without any path.
func Reason(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	return Bounded(err.Error(), 200)
}

// File reads a file of a profile, up to limit bytes. A larger file is invalid, and is not
// read.
func File(dir policy.Directory, name string, limit int64) ([]byte, Outcome) {
	f, err := dir.Open(name)
	return all(f, err, limit)
}

// all reads a regular file that was opened with an error or without, and closes it. One call
// reads a file that has not grown since it was opened.
func all(f policy.File, err error, limit int64) ([]byte, Outcome) {
	if err != nil {
		return nil, OutcomeOf(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = policy.ErrNotRegular
	}
	if err != nil {
		return nil, OutcomeOf(err)
	}
	if info.Size() > limit {
		return nil, Invalid("larger than %d bytes", limit)
	}
	data := make([]byte, max(info.Size(), 511)+1)
	n, err := f.Read(data)
	if data = data[:n]; err == nil && int64(n) != info.Size() {
		var rest []byte
		rest, err = io.ReadAll(io.LimitReader(f, limit+1-int64(n)))
		data = append(data, rest...)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, OutcomeOf(err)
	}
	if int64(len(data)) > limit {
		return nil, Invalid("larger than %d bytes", limit)
	}
	return data, Outcome{}
}

// Tail reads at most the last limit bytes of a file of a profile, from the start of a
// line.
func Tail(dir policy.Directory, name string, limit int64) ([]byte, Outcome) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, OutcomeOf(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, OutcomeOf(err)
	}
	start := max(0, info.Size()-limit)
	data, err := io.ReadAll(io.NewSectionReader(f, start, limit))
	if err != nil {
		return nil, OutcomeOf(err)
	}
	if start > 0 {
		_, data, _ = bytes.Cut(data, []byte{'\n'})
	}
	return data, Outcome{}
}

// Path reads a file that is not on the volume. It follows links, because the operator
// makes them, and does not block on a FIFO.
func Path(path string, limit int64) ([]byte, Outcome) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	return all(f, err, limit)
}

// Bounded cuts s to limit bytes, at the start of a character, and makes it valid UTF-8.
func Bounded(s string, limit int) string {
	if len(s) <= limit {
		return strings.ToValidUTF8(s, "�")
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return strings.ToValidUTF8(s[:limit], "�") + "…"
}

// FirstLine returns the first line of a small text file, without spaces around it and
// without characters that cannot be printed.
func FirstLine(data []byte, limit int) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(withoutBOM(data))), "\n")
	line = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, line)
	return Bounded(strings.TrimSpace(line), limit)
}

func withoutBOM(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) }

// remember shares one reading of a file between the sources of a profile.
func remember[T any](dir policy.Directory, key string, read func() T) T {
	return dir.Remember(key, func() any { return read() }).(T)
}

// Trusted reads a file like OpenTrusted, up to MaxConfig bytes.
func Trusted(path string, owner int) ([]byte, Outcome) {
	f, _, err := OpenTrusted(path, owner)
	return all(f, err, MaxConfig)
}

// NotBy reads a regular file that a user could neither have written nor replaced, up to limit
// bytes. It follows links that are trusted too.
func NotBy(path string, uid, gid int, limit int64) ([]byte, Outcome) {
	f, _, err := trust.Open(path, trust.NotBy(uid, gid))
	return all(f, err, limit)
}

// OpenTrusted opens a regular file, not a link, that only root or the user owner could
// have written or replaced.
func OpenTrusted(path string, owner int) (*os.File, os.FileInfo, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, nil, policy.ErrNotRegular
	}
	return trust.Open(path, trust.Only(owner))
}

// Space returns how full the file system of a path is, in bytes. Space that only root may use
// is not free.
func Space(path string) (free, total int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	return blocks(s.Bavail, s.Bsize), blocks(s.Blocks, s.Bsize), nil
}

func blocks(n uint64, size int64) int64 {
	if size > 0 && n > uint64(math.MaxInt64/size) {
		return math.MaxInt64
	}
	return int64(n) * size
}
