package rego

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// LastGoodFile is the name of the copy in the state directory: an archive with
// every rule and settings file of the operator's layers, and a manifest.
const LastGoodFile = "last-good-policy.zip"

// ErrNoLastGood says that there is no copy.
var ErrNoLastGood = errors.New("there is no last good copy of the rules")

// A LastGood is a copy of the operator's layers and settings that have decided for
// every profile without a mistake.
type LastGood struct {
	Saved    time.Time
	Revision string // as in policy.Status
	layers   []Layer
	settings map[string]any
}

// Directories names the operator's directories of rules that were copied, in order.
func (c *LastGood) Directories() []string {
	names := make([]string, len(c.layers))
	for i, layer := range c.layers {
		names[i] = strings.TrimPrefix(layer.Name, lastGoodPrefix)
	}
	return names
}

// lastGoodPrefix marks the files of the copy where a rule's place is shown: the file
// of that name has another text by now.
const lastGoodPrefix = "last-good:"

// A manifest is the first file of the archive.
type manifest struct {
	SchemaVersion int               `json:"schema_version"`
	Saved         time.Time         `json:"saved"`
	Revision      string            `json:"revision"`
	Layers        []string          `json:"layers"`   // their directories, in order
	Settings      map[string]any    `json:"settings"` // those of the configuration
	Files         map[string]string `json:"files"`    // SHA-256 of each file, in hex
}

const (
	manifestFile    = "manifest.json"
	manifestVersion = 1
	// maxLastGood bounds the archive; it is some ten of the largest files that a
	// layer may have.
	maxLastGood = 64 << 20
)

// keptLayers are the operator's files as they were compiled: what is saved is what
// was tried, also when a file has changed since.
type keptLayers struct {
	names    []string
	files    map[string][]byte // "1/site.rego" is that of the first directory
	settings map[string]any
}

// copy keeps the files of the operator's layers.
func (p parsed) copy(layers []Layer) keptLayers {
	kept := keptLayers{files: map[string][]byte{}, settings: p.operator}
	for _, layer := range layers[1:] {
		kept.names = append(kept.names, layer.Name)
	}
	for _, s := range p.sources {
		if s.layer > 0 {
			kept.files[path.Join(strconv.Itoa(s.layer), s.file)] = s.text
		}
	}
	for i, s := range p.files {
		if i > 0 && s.text != nil {
			kept.files[path.Join(strconv.Itoa(i), settingsFile)] = s.text
		}
	}
	return kept
}

// Save copies the operator's layers and settings into the directory, which it makes
// where it is missing. The caller has seen this policy decide for every profile
// without a mistake. The copy replaces the one before in one step, so that at any
// moment there is one of them, whole; one that is equal is left alone. Without
// layers and settings of an operator there is nothing to keep, and a copy that is
// there is removed. The directory must not be one that somebody else can write.
func (e *Evaluator) Save(dir string, now time.Time) error {
	name := filepath.Join(dir, LastGoodFile)
	if len(e.kept.names) == 0 && len(e.kept.settings) == 0 {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	m := e.manifest(now)
	if old, err := ReadLastGood(dir); err == nil && old.Revision == m.Revision {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := trustedDirectory(dir); err != nil {
		return err
	}
	archive, err := e.archive(m)
	if err != nil {
		return err
	}
	return replaceFile(name, archive)
}

func (e *Evaluator) manifest(now time.Time) manifest {
	m := manifest{
		SchemaVersion: manifestVersion, Saved: now.UTC().Truncate(time.Second), Revision: e.status.Revision,
		Layers: e.kept.names, Settings: e.kept.settings, Files: map[string]string{},
	}
	for name, text := range e.kept.files {
		m.Files[name] = digest(text)
	}
	return m
}

func (e *Evaluator) archive(m manifest) ([]byte, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	add := func(name string, text []byte) error {
		file, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store, Modified: m.Saved})
		if err == nil {
			_, err = file.Write(text)
		}
		return err
	}
	err = add(manifestFile, text)
	for _, name := range sortedNames(e.kept.files) {
		err = errors.Join(err, add(name, e.kept.files[name]))
	}
	if err = errors.Join(err, w.Close()); err == nil && archive.Len() > maxLastGood {
		err = fmt.Errorf("the rules have %d bytes, a copy at most %d", archive.Len(), maxLastGood)
	}
	return archive.Bytes(), err
}

func sortedNames(files map[string][]byte) []string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// replaceFile puts text where name is, in one step that a crash cannot halve. The
// file has the same other name before it each time, so that what a killed run left
// is written over. When another run is writing, that one's copy is as good.
func replaceFile(name string, text []byte) error {
	directory, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer directory.Close()
	err = syscall.Flock(int(directory.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "lock", Path: directory.Name(), Err: err}
	}
	temporary := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".new")
	err = writeFile(temporary, text)
	if err == nil {
		err = os.Rename(temporary, name)
	}
	if err != nil {
		if e := os.Remove(temporary); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
		return err
	}
	return directory.Sync()
}

func writeFile(name string, text []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
}

// ReadLastGood reads the copy in a directory. It is refused when somebody else than
// root or the caller could have written it, when a file of it is not what the
// manifest says, and when it is of another version. ErrNoLastGood says that there
// is none.
func ReadLastGood(dir string) (*LastGood, error) {
	c, err := readLastGood(dir)
	if err != nil && !errors.Is(err, ErrNoLastGood) {
		return nil, fmt.Errorf("the last good copy of the rules: %w", err)
	}
	return c, err
}

func readLastGood(dir string) (*LastGood, error) {
	name := filepath.Join(dir, LastGoodFile)
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || dir == "" {
		return nil, ErrNoLastGood
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	if err := errors.Join(distrust(name, info, false), trustedDirectory(dir)); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxLastGood+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxLastGood {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxLastGood)
	}
	c, err := openArchive(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

func openArchive(text []byte) (*LastGood, error) {
	archive, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return nil, err
	}
	m, err := verify(archive)
	if err != nil {
		return nil, err
	}
	c := &LastGood{Saved: m.Saved, Revision: m.Revision, settings: m.Settings}
	for i, name := range m.Layers {
		layer := Layer{Name: lastGoodPrefix + name, Files: noFiles{}}
		if prefix := strconv.Itoa(i+1) + "/"; slices.ContainsFunc(archive.File, func(f *zip.File) bool { return strings.HasPrefix(f.Name, prefix) }) {
			if layer.Files, err = fs.Sub(archive, strconv.Itoa(i+1)); err != nil {
				return nil, err
			}
		}
		c.layers = append(c.layers, layer)
	}
	return c, nil
}

// verify reads every file of the archive and compares it with the manifest.
func verify(archive *zip.Reader) (manifest, error) {
	var m manifest
	digests := map[string]string{}
	for _, f := range archive.File {
		if f.Method != zip.Store {
			return m, fmt.Errorf("%s is compressed, which this program does not do", f.Name)
		}
		text, err := fs.ReadFile(archive, f.Name)
		if err != nil {
			return m, fmt.Errorf("%s: %w", f.Name, err)
		}
		if f.Name != manifestFile {
			digests[f.Name] = digest(text)
			continue
		}
		if err := json.Unmarshal(text, &m); err != nil {
			return m, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	if m.SchemaVersion != manifestVersion {
		return m, fmt.Errorf("its version is %d, want %d", m.SchemaVersion, manifestVersion)
	}
	if len(digests) != len(m.Files) {
		return m, fmt.Errorf("it has %d files, and its manifest %d", len(digests), len(m.Files))
	}
	for name, want := range m.Files {
		if digests[name] != want {
			return m, fmt.Errorf("%s is not the file that was saved", name)
		}
	}
	return m, nil
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// noFiles is the file system of a directory without rules.
type noFiles struct{}

func (noFiles) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (noFiles) ReadDir(string) ([]fs.DirEntry, error) { return nil, nil }

// trustedDirectory says whether nobody but root and the caller can change what is in
// a directory, or put another in its place.
func trustedDirectory(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if real, err = filepath.Abs(real); err != nil {
		return err
	}
	for at := real; ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return err
		}
		// In a directory with the sticky bit, others cannot replace what is ours.
		if err := distrust(at, info, at != real); err != nil {
			return err
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

func distrust(name string, info fs.FileInfo, stickyIsEnough bool) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user, want root", name)
	case info.Mode().Perm()&0o022 != 0 && !(stickyIsEnough && info.Mode()&fs.ModeSticky != 0):
		return fmt.Errorf("%s can be written by others, want mode 0755 at most", name)
	}
	return nil
}
