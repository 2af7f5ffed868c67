package check

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"golang.org/x/tools/txtar"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/example"
)

// readFiles parses every file of rules and of tests, and reports the files that look as
// if they had an effect and have none.
func (c *checker) readFiles() {
	var err error
	c.rules, err = rego.ReadRules(c.layers, c.options.Settings)
	c.addErrors(err)
	for i, layer := range c.layers[1:] {
		tests, err := rego.ReadTests(i+1, layer)
		c.addErrors(err)
		c.tests = append(c.tests, tests...)
		names, err := rego.FindFiles(layer.Files, func(name string) bool { return !strings.HasSuffix(name, ".rego") })
		for _, name := range names {
			if looksMeant(name) && err == nil {
				c.add(Finding{File: layer.Shown(name), Row: 1, Col: 1, Code: "ignored_file", Message: "nothing reads this file: rules are in *.rego, settings in " + rego.SettingsFile})
			}
		}
	}
	c.addErrors(rego.CheckSettingRefs(c.tests, c.rules.Settings).OrNil())
	c.unparsed = c.has("rego_parse_error", "") || c.has("old_syntax", "") || c.has("file_unreadable", "") || c.has(policy.CodeUntrusted, "")
}

// looksMeant reports whether the author may have meant that a file is read which is not. The
// directory schemas belongs to the editor of the author.
func looksMeant(name string) bool {
	if name == rego.SettingsFile || strings.HasPrefix(name, "schemas/") {
		return false
	}
	base, ext := path.Base(name), strings.ToLower(path.Ext(name))
	ofAnEditor := slices.Contains([]string{".bak", ".orig", ".swp"}, ext)
	return slices.Contains([]string{".json", ".yaml", ".yml", ".rego"}, ext) || strings.HasPrefix(base, "settings.") || strings.Contains(base, ".rego.") && !ofAnEditor
}

// unusedSettings reports the settings that no rule reads. A rule that uses the whole of
// data.settings may read any.
func (c *checker) unusedSettings() {
	used := map[string]bool{}
	for _, r := range c.references {
		if !r.ref.HasPrefix(rego.SettingsRef) {
			continue
		}
		if len(r.ref) > 2 {
			if key, ok := r.ref[2].Value.(ast.String); ok {
				used[string(key)] = true
				continue
			}
		}
		if r.Layer > 0 && !strings.HasSuffix(r.Name, "_test.rego") {
			return
		}
	}
	builtin, err := rego.ReadSettings(c.layers[0])
	if err != nil || c.unparsed {
		return
	}
	for key := range c.rules.Settings {
		file, row := c.rules.Place(key)
		if _, known := builtin[key]; !known && !used[key] && row > 0 {
			c.add(Finding{File: file, Row: row, Col: 1, Code: "setting_unused", Message: "no rule reads the setting " + key})
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// compile runs the checks of rego.Load on the files that could be parsed. Load itself
// stops if one could not.
func (c *checker) compile() {
	rules := c.rules
	if enabled, err := rules.Enabled(); err == nil {
		rules.Sources = enabled
	}
	c.addErrors(rules.Check(c.options.Schema).OrNil())
}

// compileTests compiles the tests with the rules that they test.
func (c *checker) compileTests() {
	if len(c.tests) == 0 {
		return
	}
	compiler := example.NewTestCompiler()
	compiler.Compile(example.TestModules(c.rules.Sources, c.tests))
	c.addErrors(rego.FromOPA(compiler.Errors).OrNil())
}

// Overlay returns the rules and settings of a directory, in which one file has the text, as an
// editor has it before it is saved. The file and its directory need not exist.
func Overlay(files fs.FS, name string, text []byte) (fs.FS, error) {
	all := []txtar.File{{Name: name, Data: text}}
	others, err := rego.FindFiles(files, func(other string) bool {
		return other != name && (strings.HasSuffix(other, ".rego") || other == rego.SettingsFile)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, other := range others {
		text, err := rego.ReadFile(files, other)
		if err != nil {
			return nil, err
		}
		all = append(all, txtar.File{Name: other, Data: text})
	}
	return txtar.FS(&txtar.Archive{Files: all})
}
