package check

import (
	"errors"
	"io/fs"
	"path"
	"slices"

	"golang.org/x/tools/txtar"
)

// An overlay is a file system in which one file has another text.
type overlay struct {
	fs.FS
	file fs.FS
	name string
}

// Overlay returns files in which one file has the text, as an editor has it before it is
// saved. The file and its directory need not exist.
func Overlay(files fs.FS, name string, text []byte) (fs.FS, error) {
	file, err := txtar.FS(&txtar.Archive{Files: []txtar.File{{Name: name, Data: text}}})
	return overlay{files, file, name}, err
}

// Open opens a file.
func (o overlay) Open(name string) (fs.File, error) {
	if name == o.name {
		return o.file.Open(name)
	}
	return o.FS.Open(name)
}

// ReadDir lists a directory. A file that does not exist yet comes last.
func (o overlay) ReadDir(dir string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(o.FS, dir)
	if dir == path.Dir(o.name) && errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	exists := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == path.Base(o.name) })
	if err != nil || dir != path.Dir(o.name) || exists {
		return entries, err
	}
	info, err := fs.Stat(o.file, o.name)
	return append(entries, fs.FileInfoToDirEntry(info)), err
}
