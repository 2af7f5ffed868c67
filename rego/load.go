package rego

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.yaml.in/yaml/v3"
)

// A source is one parsed file of rules.
type source struct {
	layer  int
	name   string // as errors show it
	text   []byte
	module *ast.Module
}

const settingsFile = "data/settings.yaml"

// parseLayer reads every rule file of a layer, in lexical order. Files and
// directories whose names start with a dot are left out (the versions behind a
// mounted ConfigMap, an editor's swap files), and so are tests, which must not
// decide anything at boot.
func parseLayer(index int, layer Layer) ([]source, error) {
	var sources []source
	var errs Errors
	err := fs.WalkDir(layer.Files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := path.Base(name); name != "." && strings.HasPrefix(base, ".") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !isRuleFile(name) {
			return nil
		}
		if info, err := fs.Stat(layer.Files, name); err != nil || info.IsDir() {
			return err
		}
		text, err := fs.ReadFile(layer.Files, name)
		if err != nil {
			return err
		}
		s, parseErrs := parse(index, path.Join(layer.Name, name), text)
		errs = append(errs, parseErrs...)
		sources = append(sources, s)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("policy directory %s: %w", layer.Name, err)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return sources, nil
}

func isRuleFile(name string) bool {
	return strings.HasSuffix(name, ".rego") && !strings.HasSuffix(name, "_test.rego")
}

func parse(layer int, name string, text []byte) (source, Errors) {
	module, err := ast.ParseModuleWithOpts(name, string(text), ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		if parseErrs, ok := errors.AsType[ast.Errors](err); ok {
			return source{}, fromOPA(parseErrs)
		}
		return source{}, Errors{{File: name, Code: "rego_parse_error", Message: err.Error()}}
	}
	if module == nil {
		return source{}, Errors{{File: name, Code: "rego_parse_error", Message: "empty: a rule file starts with its package"}}
	}
	return source{layer: layer, name: name, text: text, module: module}, nil
}

// readSettings reads data/settings.yaml of a layer; a missing file is no
// settings.
func readSettings(layer Layer) (map[string]any, error) {
	name := path.Join(layer.Name, settingsFile)
	file := settingsFile
	if layer.Name == "" {
		name, file = "settings.yaml", "settings.yaml"
	}
	text, err := fs.ReadFile(layer.Files, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, Errors{{File: name, Code: "settings_error", Message: err.Error()}}
	}
	var document struct {
		Settings map[string]any `yaml:"settings"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&document); err != nil {
		return nil, Errors{{File: name, Code: "settings_error", Message: fmt.Sprintf("want one key, settings, with an object: %v", err)}}
	}
	return document.Settings, nil
}

// mergeSettings lays more over base: a key of more replaces that of base whole.
// A key of base keeps its type, and a key that looks like a misspelt one of base
// is an error.
func mergeSettings(base, more map[string]any, from string) (map[string]any, error) {
	merged := make(map[string]any, len(base)+len(more))
	known := make([]string, 0, len(base))
	for key, value := range base {
		merged[key] = value
		known = append(known, key)
	}
	slices.Sort(known)
	var errs Errors
	wrong := func(format string, args ...any) {
		errs = append(errs, &Error{File: from, Code: "settings_error", Message: fmt.Sprintf(format, args...)})
	}
	for key, value := range more {
		old, ok := base[key]
		if !ok {
			if near := nearest(key, known); near != "" {
				wrong("unknown setting %q, did you mean %q?", key, near)
			}
		} else if want, have := settingType(old), settingType(value); want != have {
			wrong("setting %s is %s, want %s", key, have, want)
		}
		merged[key] = value
	}
	if len(errs) > 0 {
		slices.SortFunc(errs, func(a, b *Error) int { return strings.Compare(a.Message, b.Message) })
		return nil, errs
	}
	return merged, nil
}

func settingType(value any) string {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			if _, ok := item.(string); !ok {
				return "a list with something else than strings"
			}
		}
		return "a list of strings"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case int, int64, uint64, float64:
		return "a number"
	case nil:
		return "empty"
	}
	return "an object"
}
