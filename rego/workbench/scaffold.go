package workbench

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/version"

	"hermes-reconcile/rego"
	"hermes-reconcile/rego/example"
)

//go:embed scaffold
var scaffold embed.FS

// The schemas in a directory of rules. Each has a directory of its own, because OPA
// merges the files of one directory into one document.
const (
	inputSchemaFile    = "schemas/input/schema.json"
	decisionSchemaFile = "schemas/decision/schema.json"
)

// A WrittenFile is a file of a new directory of rules.
type WrittenFile struct {
	Path string
	Kept bool // it existed, and is unchanged
}

// Init writes the files with which a directory of rules begins. It overwrites nothing.
// The result is sorted by path. It is also valid for the files before an error.
func Init(dir string, inputSchema, decisionSchema []byte) ([]WrittenFile, error) {
	files, err := scaffoldFiles(inputSchema, decisionSchema)
	if err != nil {
		return nil, err
	}
	var written []WrittenFile
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		err := createFile(path, files[name])
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return written, err
		}
		written = append(written, WrittenFile{path, err != nil})
	}
	return written, nil
}

// createFile writes a new file and creates the directories above it. The error is
// fs.ErrExist if the file exists.
func createFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// scaffoldFiles returns the files of a new directory by path: an example rule with its
// test, the settings, the example facts, the given schemas, and the configuration of
// the linter Regal.
func scaffoldFiles(inputSchema, decisionSchema []byte) (map[string][]byte, error) {
	files := map[string][]byte{
		inputSchemaFile:    line(inputSchema),
		decisionSchemaFile: line(decisionSchema),
	}
	for name, from := range map[string]string{
		"README.md":              "README.md",
		"quiet_nights.rego":      "quiet_nights.rego",
		"quiet_nights_test.rego": "quiet_nights_test.rego",
		".regal/config.yaml":     "regal.yaml",
	} {
		text, err := scaffold.ReadFile("scaffold/" + from)
		if err != nil {
			return nil, err
		}
		files[name] = bytes.ReplaceAll(text, []byte("OPA_VERSION"), []byte("v"+version.Version))
	}
	var err error
	if files[rego.SettingsFile], err = scaffoldSettings(); err != nil {
		return nil, err
	}
	files[example.LibraryFile], err = example.Library()
	return files, err
}

func line(text []byte) []byte { return append(bytes.TrimRight(text, "\n"), '\n') }

// scaffoldSettings returns the settings of the example rule and, commented out, those of
// the built-in rules with their comments.
func scaffoldSettings() ([]byte, error) {
	head, err := scaffold.ReadFile("scaffold/settings.head.yaml")
	if err != nil {
		return nil, err
	}
	builtin, err := fs.ReadFile(rego.BuiltIn().Files, "settings.yaml")
	if err != nil {
		return nil, err
	}
	_, below, found := strings.Cut(string(builtin), "\nsettings:\n")
	if !found {
		return nil, fmt.Errorf("settings.yaml of the built-in rules has no line \"settings:\"")
	}
	b := bytes.NewBuffer(line(head))
	b.WriteByte('\n')
	for l := range strings.Lines(below) {
		l = strings.TrimRight(l, "\n")
		if l != "" && !strings.HasPrefix(l, "  #") {
			l = "  # " + strings.TrimPrefix(l, "  ")
		}
		fmt.Fprintln(b, l)
	}
	return b.Bytes(), nil
}
