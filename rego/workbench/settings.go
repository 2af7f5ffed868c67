package workbench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/rego"
)

// AddFiles returns the files that copy the recipe into a directory of rules. Its settings are
// added to data/settings.yaml. Set has values for the settings as key=value; the value is YAML.
// A file or a key that exists is an error.
func (recipe Recipe) AddFiles(dir string, set []string) (files []File, err error) {
	settings, err := recipe.settings(set)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(recipe.Files)) {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			return nil, fmt.Errorf("%s exists; remove it first, nothing is overwritten", path)
		}
		files = append(files, File{Path: path, text: []byte(recipe.Files[name])})
	}
	path := filepath.Join(dir, rego.SettingsFile)
	old, err := trust.Read(path, trust.Anybody, rego.MaxFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	text, err := joinSettings(path, old, settings)
	return append(files, File{Path: path, Settings: nodeKeys(settings), text: text, replaces: true}), err
}

// settings returns the settings of the recipe as YAML, with the given values. An unknown
// key is an error, and so is a value of another type than the default.
func (recipe Recipe) settings(set []string) (*yaml.Node, error) {
	defaults, settings, _ := rego.ParseSettings(recipe.Name, []byte(recipe.Settings)) // they are compiled in
	for _, one := range set {
		key, text, ok := strings.Cut(one, "=")
		if !ok {
			return nil, fmt.Errorf("--set %q, want key=value", one)
		}
		at := slices.Index(nodeKeys(settings), key)
		if at < 0 {
			return nil, fmt.Errorf("the recipe %s has no setting %q%s", recipe.Name, key, suggest.Words(key, nodeKeys(settings)))
		}
		values, given, err := rego.ParseSettings("--set", []byte("settings:\n  "+key+": "+text))
		if err != nil || len(values) != 1 || text == "" {
			return nil, fmt.Errorf("--set %s: %q is not a YAML value", key, text)
		}
		if want, have := rego.SettingType(defaults[key]), rego.SettingType(rego.Fitted(key, defaults[key], values[key], nil)); want != have {
			example, _ := json.Marshal(defaults[key])
			return nil, fmt.Errorf("--set %s: %s is %s, want %s such as %s", key, text, have, want, example)
		}
		settings.Content[2*at+1] = given.Content[1]
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

// joinSettings appends settings to the text of a file, so that the author's layout stays, with
// its comments. Then it reads the result, which must have the keys of both. A key that the
// file already has is an error.
func joinSettings(path string, old []byte, settings *yaml.Node) ([]byte, error) {
	have, object, err := rego.ParseSettings(path, old)
	if err != nil {
		return nil, err
	}
	indent := 2
	if len(have) > 0 && object.Style&yaml.FlowStyle == 0 {
		indent = object.Content[0].Column - 1
	}
	for _, key := range nodeKeys(settings) {
		if _, twice := have[key]; twice {
			return nil, fmt.Errorf("%s: it has the setting %s already; nothing is overwritten", path, key)
		}
	}
	below := indented(settings, indent)
	head := bytes.TrimRight(old, "\n")
	if have == nil && !bytes.HasSuffix(head, []byte("settings:")) {
		head = append(head, "\nsettings:"...)
	}
	text := append(append(head, "\n\n"...), below...)
	after, _, err := rego.ParseSettings(path, text)
	if err != nil || len(after) != len(have)+len(nodeKeys(settings)) {
		return nil, fmt.Errorf("%s: nothing can be appended to its layout; add by hand below settings:\n%s", path, below)
	}
	return bytes.TrimLeft(text, "\n"), nil
}

// indented writes the settings, each line after so many spaces, with an empty line
// before each comment.
func indented(settings *yaml.Node, indent int) []byte {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	_ = encoder.Encode(settings) // it was read from YAML
	text := lineBegin().ReplaceAllString(b.String(), strings.Repeat(" ", indent)+"$0")
	return []byte(strings.TrimLeft(commentBegin().ReplaceAllString(text, "$1\n$2"), "\n"))
}

var (
	lineBegin    = policy.Pattern(`(?m)^.`)                  // of a line that is not empty
	commentBegin = policy.Pattern(`(?m)^( *[^ #].*\n)( *#)`) // after a line that is no comment
)
