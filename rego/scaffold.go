package rego

import (
	"bytes"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/version"
)

// The schemas in a directory of rules. Each has a directory of its own: OPA would
// merge files of one directory into one document.
const (
	inputSchemaFile    = "schemas/input/schema.json"
	decisionSchemaFile = "schemas/decision/schema.json"
)

// Scaffold returns the files with which a directory of rules begins, by their
// paths in it: an example rule with its test, the settings, the example facts,
// the schemas that are given, and the configuration of the linter.
func Scaffold(inputSchema, decisionSchema []byte) (map[string][]byte, error) {
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
		text, err := scaffold.ReadFile("scaffold/directory/" + from)
		if err != nil {
			return nil, err
		}
		files[name] = bytes.ReplaceAll(text, []byte("OPA_VERSION"), []byte("v"+version.Version))
	}
	var err error
	if files[settingsFile], err = scaffoldSettings(); err != nil {
		return nil, err
	}
	files[ExampleFile], err = ExampleLibrary()
	return files, err
}

func line(text []byte) []byte { return append(bytes.TrimRight(text, "\n"), '\n') }

var settingLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^  [^ #-].*$`) })

// scaffoldSettings is the example's settings, and those of the built-in rules with
// their comments, each as a comment that can be taken away.
func scaffoldSettings() ([]byte, error) {
	head, err := scaffold.ReadFile("scaffold/directory/settings.head.yaml")
	if err != nil {
		return nil, err
	}
	builtin, err := fs.ReadFile(BuiltIn().Files, "settings.yaml")
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
		switch trimmed := strings.TrimRight(l, "\n"); {
		case trimmed == "", strings.HasPrefix(trimmed, "  #"):
			fmt.Fprintln(b, trimmed)
		case settingLine().MatchString(trimmed):
			fmt.Fprintf(b, "  # %s\n", strings.TrimPrefix(trimmed, "  "))
		default: // the value goes on
			fmt.Fprintf(b, "  #%s\n", strings.TrimPrefix(trimmed, "  "))
		}
	}
	return b.Bytes(), nil
}
