package facts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"hermes-reconcile/policy"
)

// How much is read of the files of a profile.
const (
	maxState  = 64 << 10 // state files and .env
	maxConfig = 1 << 20  // config.yaml and other files that an operator writes
	maxTail   = 64 << 10 // the end of a log
)

// outcome is the part that every fact has. While a file is read, an empty Status means that
// there was no error.
type outcome struct {
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

var recorded = outcome{Status: policy.StatusRecorded}

func invalid(format string, args ...any) outcome {
	return outcome{policy.StatusInvalid, fmt.Sprintf(format, args...)}
}

// outcomeOf turns the error of opening or describing a file into a status.
func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return outcome{}
	case errors.Is(err, fs.ErrNotExist):
		return outcome{Status: policy.StatusMissing}
	case errors.Is(err, policy.ErrNotRegular):
		return outcome{policy.StatusUnreadable, "a link, or not a regular file"}
	}
	return outcome{policy.StatusUnreadable, reason(err)}
}

// reason is the system's text for an error, without any path.
func reason(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	return bounded(err.Error(), 200)
}

// readFile reads a file of a profile, up to limit bytes. A larger one is
// invalid, without having been read.
func readFile(dir policy.Directory, name string, limit int64) ([]byte, outcome) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, outcomeOf(err)
	}
	defer f.Close()
	return readAll(f, limit)
}

// readAll reads a file up to limit bytes. One that is as long as it was when it was
// opened is read by one call.
func readAll(f policy.File, limit int64) ([]byte, outcome) {
	info, err := f.Stat()
	if err != nil {
		return nil, outcomeOf(err)
	}
	if info.Size() > limit {
		return nil, invalid("larger than %d bytes", limit)
	}
	data := make([]byte, max(info.Size(), 511)+1)
	n, err := f.Read(data)
	if data = data[:n]; err == nil && int64(n) != info.Size() {
		var rest []byte
		rest, err = io.ReadAll(io.LimitReader(f, limit+1-int64(n)))
		data = append(data, rest...)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, outcomeOf(err)
	}
	if int64(len(data)) > limit {
		return nil, invalid("larger than %d bytes", limit)
	}
	return data, outcome{}
}

// readTail reads at most the last limit bytes of a file, from the start of a
// line.
func readTail(dir policy.Directory, name string, limit int64) ([]byte, outcome) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, outcomeOf(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, outcomeOf(err)
	}
	start := max(0, info.Size()-limit)
	data, err := io.ReadAll(io.NewSectionReader(f, start, limit))
	if err != nil {
		return nil, outcomeOf(err)
	}
	if start == 0 {
		return data, outcome{}
	}
	_, data, _ = bytes.Cut(data, []byte{'\n'})
	return data, outcome{}
}

// readPath reads a file that is not on the volume, where links are the
// operator's business. It does not block on a FIFO.
func readPath(path string, limit int64) ([]byte, outcome) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, outcomeOf(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, outcomeOf(err)
	}
	if !info.Mode().IsRegular() {
		return nil, outcomeOf(policy.ErrNotRegular)
	}
	return readAll(f, limit)
}

// bounded cuts s to limit bytes, at the start of a character, and makes it valid
// UTF-8.
func bounded(s string, limit int) string {
	if len(s) <= limit {
		return strings.ToValidUTF8(s, "�")
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return strings.ToValidUTF8(s[:limit], "�") + "…"
}

// firstLine is the first line of a small text file, without spaces around it and
// without characters that cannot be printed.
func firstLine(data []byte, limit int) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(withoutBOM(data))), "\n")
	line = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, line)
	return bounded(strings.TrimSpace(line), limit)
}

func withoutBOM(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) }

// kindOf names what a file is.
func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "file"
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeSymlink != 0:
		return "link"
	}
	return "other"
}

// kinds are the words of kindOf.
func kinds(description string) schema {
	return word(description, "file", "directory", "link", "other")
}

// remember shares one reading of a file between the sources of a profile, where
// the directory can keep it.
func remember[T any](dir policy.Directory, key string, read func() T) T {
	keeper, ok := dir.(interface {
		Remember(key string, make func() any) any
	})
	if !ok {
		return read()
	}
	return keeper.Remember(key, func() any { return read() }).(T)
}
