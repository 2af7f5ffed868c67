package trust

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"sync"
	"syscall"
)

// Files returns a directory of trusted files and directories. Each directory is checked once
// with everything above it, each file when it is opened; a link is checked as Check does.
// Nothing but a regular file or a directory can be opened.
func Files(dir string, judge Judge) fs.FS {
	return &files{dir: dir, judge: judge, checked: map[string]string{}}
}

type files struct {
	dir   string
	judge Judge

	mu      sync.Mutex
	checked map[string]string // the path without links of each directory
}

func (f *files) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) || f.dir == "" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	folder, err := f.folder(path.Dir(name))
	if err != nil {
		return nil, err
	}
	at := filepath.Join(folder, path.Base(name))
	file, _, err := open(at, f.judge)
	if errors.Is(err, syscall.ELOOP) {
		if at, _, err = check(at, f.judge, 1); err == nil {
			file, _, err = open(at, f.judge)
		}
	}
	if err != nil {
		return nil, err
	}
	return file, nil
}

// folder checks a directory below f.dir.
func (f *files) folder(name string) (real string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if real, ok := f.checked[name]; ok {
		return real, nil
	}
	if real, _, err = check(filepath.Join(f.dir, name), f.judge, 1); err == nil {
		f.checked[name] = real
	}
	return real, err
}
