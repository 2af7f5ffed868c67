package workbench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"go.yaml.in/yaml/v3"

	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/rego"
)

// Add copies the recipe into a directory of rules and appends its settings to
// data/settings.yaml. Set has values for the settings as key=value; the value is YAML.
// Nothing is overwritten: a file or a key that exists is an error, before anything is
// written. Add returns the files that it wrote, also before an error, and the keys.
func (recipe Recipe) Add(dir string, set []string) (files, keys []string, err error) {
	settings, err := recipe.settings(set)
	if err != nil {
		return nil, nil, err
	}
	names := slices.Sorted(maps.Keys(recipe.Files))
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return nil, nil, fmt.Errorf("%s exists; remove it first, nothing is overwritten", filepath.Join(dir, name))
		}
	}
	if err := addSettings(filepath.Join(dir, rego.SettingsFile), settings); err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := createFile(path, []byte(recipe.Files[name])); err != nil {
			return files, nil, err
		}
		files = append(files, path)
	}
	return files, nodeKeys(settings), nil
}

// settings returns the settings of the recipe as YAML, with the given values. An unknown
// key is an error, and so is a value of another kind than the default.
func (recipe Recipe) settings(set []string) (*yaml.Node, error) {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(recipe.Settings), &document); err != nil {
		return nil, fmt.Errorf("settings of the recipe %s: %w", recipe.Name, err)
	}
	settings := document.Content[0].Content[1]
	for _, one := range set {
		key, text, ok := strings.Cut(one, "=")
		if !ok {
			return nil, fmt.Errorf("--set %q, want key=value", one)
		}
		at := slices.Index(nodeKeys(settings), key)
		if at < 0 {
			return nil, fmt.Errorf("the recipe %s has no setting %q%s", recipe.Name, key, suggest.Words(key, nodeKeys(settings)))
		}
		var value yaml.Node
		if err := yaml.Unmarshal([]byte(text), &value); err != nil || len(value.Content) == 0 {
			return nil, fmt.Errorf("--set %s: %q is not a YAML value", key, text)
		}
		old := settings.Content[2*at+1]
		if want, have := nodeKind(old), nodeKind(value.Content[0]); want != have {
			return nil, fmt.Errorf("--set %s: %s is %s, want %s such as %s", key, text, have, want, flow(old))
		}
		settings.Content[2*at+1] = value.Content[0]
	}
	return settings, nil
}

// nodeKeys returns the keys of a mapping in the order of the text.
func nodeKeys(mapping *yaml.Node) []string {
	var keys []string
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		keys = append(keys, mapping.Content[i].Value)
	}
	return keys
}

func nodeKind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "an object"
	case n.ShortTag() == "!!int", n.ShortTag() == "!!float":
		return "a number"
	case n.ShortTag() == "!!bool":
		return "true or false"
	}
	return "a text"
}

func flow(n *yaml.Node) string {
	var value any
	if n.Decode(&value) != nil {
		return n.Value
	}
	text, err := yaml.Marshal(&yaml.Node{Kind: n.Kind, Style: yaml.FlowStyle, Tag: n.Tag, Value: n.Value, Content: n.Content})
	if err != nil {
		return n.Value
	}
	return strings.TrimSpace(string(text))
}

// addSettings appends settings to a settings file. The text that it has stays, with its
// comments. A key that the file already has is an error.
func addSettings(path string, settings *yaml.Node) error {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := joinSettings(old, settings)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	return renameio.WriteFile(path, text, mode)
}

// joinSettings appends as text, so that the author's layout stays. Then it reads the
// result, which must hold the values of both.
func joinSettings(old []byte, settings *yaml.Node) ([]byte, error) {
	before, indent, err := readSettingsText(old)
	if err != nil {
		return nil, err
	}
	var added map[string]any
	if err := settings.Decode(&added); err != nil {
		return nil, err
	}
	for _, key := range nodeKeys(settings) {
		if _, twice := before[key]; twice {
			return nil, fmt.Errorf("it has the setting %s already; nothing is overwritten", key)
		}
	}
	below, err := indented(settings, indent)
	if err != nil {
		return nil, err
	}
	head := bytes.TrimRight(old, "\n")
	if len(before) == 0 {
		head = withoutEmptySettings(head)
	}
	text := append(append(head, "\n\n"...), below...)
	after, _, err := readSettingsText(text)
	want := maps.Clone(before)
	maps.Copy(want, added)
	if err != nil || !reflect.DeepEqual(after, want) {
		return nil, fmt.Errorf("nothing can be appended to its layout; add by hand below settings:\n%s", below)
	}
	return bytes.TrimLeft(text, "\n"), nil
}

// withoutEmptySettings moves an empty "settings:" to the last line.
func withoutEmptySettings(text []byte) []byte {
	var kept []string
	for l := range strings.Lines(string(text)) {
		if !strings.HasPrefix(l, "settings:") {
			kept = append(kept, l)
		}
	}
	head := strings.TrimRight(strings.Join(kept, ""), "\n")
	if head != "" {
		head += "\n"
	}
	return []byte(head + "settings:")
}

// readSettingsText returns the settings of a file and the spaces of their indentation.
func readSettingsText(text []byte) (map[string]any, int, error) {
	var document struct {
		Settings yaml.Node `yaml:"settings"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&document); err != nil && len(bytes.TrimSpace(text)) > 0 {
		if errors.Is(err, io.EOF) {
			return map[string]any{}, 2, nil // only comments
		}
		return nil, 0, fmt.Errorf("want one key, settings, with an object: %w", err)
	}
	values := map[string]any{}
	if document.Settings.Kind == 0 || document.Settings.ShortTag() == "!!null" {
		return values, 2, nil
	}
	if err := document.Settings.Decode(&values); err != nil {
		return nil, 0, err
	}
	indent := 2
	if document.Settings.Style&yaml.FlowStyle == 0 && len(document.Settings.Content) > 0 {
		indent = document.Settings.Content[0].Column - 1
	}
	return values, indent, nil
}

// indented writes the settings with their comments, each line after so many spaces.
func indented(settings *yaml.Node, indent int) ([]byte, error) {
	var plain bytes.Buffer
	encoder := yaml.NewEncoder(&plain)
	encoder.SetIndent(2)
	if err := encoder.Encode(settings); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for l := range strings.Lines(plain.String()) {
		if strings.HasPrefix(l, "#") && b.Len() > 0 && !lastIsComment(b.Bytes()) {
			b.WriteByte('\n') // the encoder leaves out the empty line before a comment
		}
		if strings.TrimSpace(l) != "" {
			b.WriteString(strings.Repeat(" ", indent))
		}
		b.WriteString(l)
	}
	return b.Bytes(), nil
}

func lastIsComment(text []byte) bool {
	text = bytes.TrimRight(text, "\n")
	last := text[bytes.LastIndexByte(text, '\n')+1:]
	return bytes.HasPrefix(bytes.TrimSpace(last), []byte("#"))
}
