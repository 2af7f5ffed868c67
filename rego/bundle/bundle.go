// Package bundle has an operator's rules in one file.
//
// A layer may be a bundle as OPA makes it: a file, or the copy of one that was fetched. Its
// signature and its digests are verified whenever it is read.
//
// The last good copy has the rules and settings with which a boot last decided for every
// profile without a mistake. A boot whose rules cannot be loaded decides with that copy.
package bundle

import (
	"archive/zip"
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"hermes-reconcile/policy/trust"
	"hermes-reconcile/rego"
)

// LastGoodFile is the name of the copy in the state directory: a zip archive of every
// rule and settings file of the operator's layers, with a manifest.
const LastGoodFile = "last-good-policy.zip"

// ErrNoLastGood means that there is no copy.
var ErrNoLastGood = errors.New("there is no last good copy of the rules")

// A LastGood is a copy of the operator's layers and settings.
type LastGood struct {
	Saved    time.Time
	Revision string // as in policy.Status
	layers   []rego.Layer
	settings map[string]any
}

// Directories returns the names of the directories of which the copy has files, in order.
func (c *LastGood) Directories() []string {
	names := []string{}
	for _, layer := range c.layers {
		if layer.Files != (embed.FS{}) {
			names = append(names, strings.TrimPrefix(layer.Name, Prefix))
		}
	}
	return names
}

// Prefix begins the file names of the copy wherever the place of a rule is printed: the
// present file of that name has another text.
const Prefix = "last-good:"

// A Gone is the error about directories of the last good copy that have neither rules nor
// settings any more. The copy decides until they are back, or until Forget.
type Gone struct{ Directories []string }

func (g *Gone) Error() string {
	return fmt.Sprintf("at the last good boot there were rules in %s, and there are none now; bring them back, or give them up with `hermes-reconcile policy forget`",
		strings.Join(g.Directories, "; "))
}

// CheckGone compares the operator's directories, and those of them that have neither rules
// nor settings, with the copy in dir. The error is a *Gone. Without any directory, every
// directory of the copy is gone.
func CheckGone(dir string, directories, empty []string) error {
	if len(directories) > 0 && len(empty) == 0 {
		return nil
	}
	kept, err := Read(dir)
	if err != nil {
		return nil // there is nothing to compare with
	}
	gone := kept.Directories()
	if len(empty) < len(directories) {
		gone = slices.DeleteFunc(gone, func(name string) bool { return !slices.Contains(empty, name) })
	}
	if len(gone) == 0 {
		return nil
	}
	return &Gone{gone}
}

// Forget removes the copy, and returns what it was. The error is ErrNoLastGood if there is
// none. A copy that Read refuses is not removed.
func Forget(dir string) (*LastGood, error) {
	kept, err := Read(dir)
	if err != nil {
		return nil, err
	}
	return kept, os.Remove(filepath.Join(dir, LastGoodFile))
}

// A manifest is the first file of the archive. Manifests of earlier versions also have
// a digest of each file; the archive itself has a checksum of each.
type manifest struct {
	SchemaVersion int            `json:"schema_version"`
	Saved         time.Time      `json:"saved"`
	Revision      string         `json:"revision"`
	Layers        []string       `json:"layers"`   // their directories, in order
	Settings      map[string]any `json:"settings"` // those of the configuration
}

const (
	manifestFile    = "manifest.json"
	manifestVersion = 1
	// maxLastGood limits the archive, in bytes, to some ten of the largest files that a
	// layer may have.
	maxLastGood = 64 << 20
)

// Load compiles the copy over the built-in layer, as rego.Load does, with the settings of
// the copy instead of those of o. The status of the result reports a fallback.
func (c *LastGood) Load(builtIn rego.Layer, o rego.Options) (*rego.Evaluator, error) {
	o.Settings = c.settings
	e, err := rego.Load(append([]rego.Layer{builtIn}, c.layers...), o)
	saved := c.Saved.Format(time.RFC3339)
	if e == nil {
		return nil, fmt.Errorf("the last good copy, of %s: %w", saved, err)
	}
	return e.AsFallback("built-in, last good copy of " + saved), err
}

// A Choice is one of the policies with which a boot can decide.
type Choice string

// The choices, the best first.
const (
	Present Choice = "present rules"
	Copy    Choice = "last good copy"
	BuiltIn Choice = "built-in rules"
)

// Load loads one choice, as rego.Load does. Layers and o are those of the configuration, and
// dir has the copy.
func Load(choice Choice, layers []rego.Layer, o rego.Options, dir string) (*rego.Evaluator, error) {
	switch choice {
	case Copy:
		copied, err := Read(dir)
		if err != nil {
			return nil, err
		}
		return copied.Load(layers[0], o)
	case BuiltIn:
		layers = layers[:1]
	}
	return rego.Load(layers, o)
}

// Save copies the operator's layers and settings into the directory, which it creates
// if it is missing. The caller has seen this policy decide for every profile without a
// mistake, and that no rules are gone. The copy replaces the previous one atomically; an
// equal copy is left alone. Without files and settings of an operator, Save removes the
// copy. The error is also about a directory that another user can write, and about a copy
// with rules that one without would replace.
func Save(dir string, e *rego.Evaluator, now time.Time) error {
	operator := e.Operator()
	name := filepath.Join(dir, LastGoodFile)
	if err := CheckGone(dir, operator.Directories, operator.Empty()); err != nil {
		return err
	}
	if len(operator.Files) == 0 && len(operator.Settings) == 0 {
		if trust.Directory(dir, trust.Only(os.Geteuid())) != nil {
			return nil // no copy in it is used
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	revision := e.Status().Revision
	if old, err := Read(dir); err == nil && old.Revision == revision {
		return nil
	}
	if err := trust.MakeDirectory(dir, trust.Only(os.Geteuid())); err != nil {
		return err
	}
	archive, err := pack(operator, manifest{
		SchemaVersion: manifestVersion, Saved: now.UTC().Truncate(time.Second), Revision: revision,
		Layers: operator.Directories, Settings: operator.Settings,
	})
	if err != nil {
		return err
	}
	return replaceFile(name, archive)
}

func pack(operator rego.OperatorFiles, m manifest) ([]byte, error) {
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
	for _, name := range slices.Sorted(maps.Keys(operator.Files)) {
		err = errors.Join(err, add(name, operator.Files[name]))
	}
	if err = errors.Join(err, w.Close()); err == nil && archive.Len() > maxLastGood {
		err = fmt.Errorf("the rules have %d bytes, a copy at most %d", archive.Len(), maxLastGood)
	}
	return archive.Bytes(), err
}

// replaceFile writes a file atomically and for good, and removes what a killed run left. It
// takes no lock, because a lock on a directory that the agents can open is theirs to hold: of
// two runs at once the slower one may find its temporary file removed.
func replaceFile(name string, text []byte) error {
	dir := filepath.Dir(name)
	left, _ := fs.Glob(os.DirFS(dir), "."+filepath.Base(name)+"*")
	for _, old := range left {
		_ = os.RemoveAll(filepath.Join(dir, old))
	}
	if err := renameio.WriteFile(name, text, 0o644, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o644)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Read reads the copy in a directory. The error is ErrNoLastGood if there is none. Read
// refuses a copy that a user other than root and the caller could have written, one
// that is damaged, and one of another version.
func Read(dir string) (*LastGood, error) {
	c, err := read(dir)
	if err != nil && !errors.Is(err, ErrNoLastGood) {
		return nil, fmt.Errorf("the last good copy of the rules: %w", err)
	}
	return c, err
}

func read(dir string) (*LastGood, error) {
	if dir == "" {
		return nil, ErrNoLastGood
	}
	name := filepath.Join(dir, LastGoodFile)
	if info, err := os.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	text, err := trust.Read(name, trust.Only(os.Geteuid()), maxLastGood)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoLastGood
	}
	if err != nil {
		return nil, err
	}
	c, err := unpack(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

func unpack(text []byte) (*LastGood, error) {
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
		layer := rego.Layer{Name: Prefix + name, Files: embed.FS{}}
		prefix := strconv.Itoa(i + 1)
		if slices.ContainsFunc(archive.File, func(f *zip.File) bool { return strings.HasPrefix(f.Name, prefix+"/") }) {
			if layer.Files, err = fs.Sub(archive, prefix); err != nil {
				return nil, err
			}
		}
		c.layers = append(c.layers, layer)
	}
	return c, nil
}

// verify reads every file of the archive, which compares it with its checksum, and
// returns the manifest.
func verify(archive *zip.Reader) (manifest, error) {
	var m manifest
	for _, f := range archive.File {
		if f.Method != zip.Store {
			return m, fmt.Errorf("%s is compressed, want a stored file", f.Name)
		}
		text, err := fs.ReadFile(archive, f.Name)
		if err == nil && f.Name == manifestFile {
			err = json.Unmarshal(text, &m)
		}
		if err != nil {
			return m, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	if m.SchemaVersion != manifestVersion {
		return m, fmt.Errorf("its version is %d, want %d", m.SchemaVersion, manifestVersion)
	}
	return m, nil
}
