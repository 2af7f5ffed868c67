package trust

import (
	"io/fs"
	"path/filepath"
)

// Files returns a directory of trusted files and directories. Whatever is opened is checked
// with everything above it, as Check does. Nothing but a regular file or a directory can be
// opened.
func Files(dir string, judge Judge) fs.FS { return files{dir, judge} }

type files struct {
	dir   string
	judge Judge
}

func (f files) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) || f.dir == "" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	above := 0
	if name == "." {
		above = 1 // what counts is below it
	}
	real, _, err := check(filepath.Join(f.dir, name), f.judge, above)
	if err != nil {
		return nil, err
	}
	file, _, err := open(real, f.judge)
	if err != nil {
		return nil, err
	}
	return file, nil
}
