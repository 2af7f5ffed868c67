package workbench

import (
	"bytes"
	"embed"
	"encoding/json"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/version"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/example"
)

//go:embed all:scaffold
var scaffold embed.FS

// The schemas in a directory of rules. Each has a directory of its own, because OPA
// merges the files of one directory into one document.
const (
	inputSchemaFile    = "schemas/input/schema.json"
	decisionSchemaFile = "schemas/decision/schema.json"
)

// InitFiles returns the files with which a directory of rules begins, sorted by path: an
// example rule with its test, the settings, the example facts, the schemas, and the
// configuration of the linter Regal.
func InitFiles(dir string) []File {
	texts := map[string][]byte{
		example.LibraryFile: example.Library(), inputSchemaFile: forOPA(policy.InputSchema), decisionSchemaFile: line([]byte(policy.DecisionSchema)),
	}
	err := fs.WalkDir(scaffold, "scaffold", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := scaffold.ReadFile(name)
		texts[strings.TrimPrefix(name, "scaffold/")] = bytes.ReplaceAll(text, []byte("OPA_VERSION"), []byte("v"+version.Version))
		return err
	})
	builtin := rego.CompiledIn(fs.ReadFile(rego.BuiltIn().Files, "settings.yaml"))
	_, below, _ := bytes.Cut(builtin, []byte("\nsettings:"))
	texts[rego.SettingsFile] = append(texts[rego.SettingsFile], settingLine().ReplaceAll(below, []byte("  # $1"))...)
	var files []File
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		files = append(files, File{Path: filepath.Join(dir, name), text: texts[name]})
	}
	return rego.CompiledIn(files, err)
}

// forOPA names one profile and one decision in the schema. OPA knows the type of an object only
// by the names of its keys, and then finds a misspelt fact below any key that is a variable.
func forOPA(schema []byte) []byte {
	var root map[string]any
	err := json.Unmarshal(schema, &root)
	properties, _ := rego.CompiledIn(root, err)["properties"].(map[string]any)
	for _, key := range []string{"profiles", "decisions"} {
		if object, ok := properties[key].(map[string]any); ok {
			object["properties"] = map[string]any{"default": map[string]string{"$ref": "#/properties/" + key + "/additionalProperties"}}
		}
	}
	return line(rego.CompiledIn(json.MarshalIndent(root, "", "  ")))
}

// settingLine matches the beginning of a line below settings that is no comment: the
// settings of the built-in rules are there to be uncommented.
var settingLine = policy.Pattern(`(?m)^  ( *[^ #\n])`)

func line(text []byte) []byte { return append(bytes.TrimRight(text, "\n"), '\n') }
