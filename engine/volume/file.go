package volume

import (
	"io"
	"io/fs"

	"golang.org/x/sys/unix"
)

// A file is an open regular file. An os.File would make two more system calls, for the
// descriptor's mode and for the poller, for each of the small files that a boot reads.
type file struct {
	fd   int
	info fileInfo // when it was opened
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }

func (f *file) Read(p []byte) (int, error) {
	return f.read(p, func() (int, error) { return unix.Read(f.fd, p) })
}

func (f *file) ReadAt(p []byte, offset int64) (int, error) {
	have := 0
	for have < len(p) {
		n, err := f.read(p[have:], func() (int, error) { return unix.Pread(f.fd, p[have:], offset+int64(have)) })
		if err != nil {
			return have, err
		}
		have += n
	}
	return have, nil
}

func (f *file) read(p []byte, call func() (int, error)) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := ignoringEINTR(call)
	switch {
	case err != nil:
		return 0, &fs.PathError{Op: "read", Path: f.info.name, Err: err}
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Close closes the file. A second call is an error.
func (f *file) Close() error {
	fd := f.fd
	f.fd = -1
	return unix.Close(fd)
}
