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
			if why := looksMeant(name); why != "" && err == nil {
				c.add(Finding{File: layer.Shown(name), Row: 1, Col: 1, Code: "ignored_file", Message: "nothing reads this file: " + why})
			}
		}
	}
	c.addErrors(rego.CheckSettingRefs(c.tests, c.rules.Settings).OrNil())
	c.unparsed = c.has("rego_parse_error", "") || c.has("old_syntax", "") || c.has("file_unreadable", "") || c.has(policy.CodeUntrusted, "")
}

// looksMeant returns why a file that its author may have meant to be read is not read.
// The directory schemas belongs to the editor of the author.
func looksMeant(name string) string {
	top, _, _ := strings.Cut(name, "/")
	switch ext := strings.ToLower(path.Ext(name)); {
	case name == rego.SettingsFile || top == "schemas":
		return ""
	case strings.HasPrefix(path.Base(name), "settings."):
		return "settings are in " + rego.SettingsFile
	case ext == ".json" || ext == ".yaml" || ext == ".yml":
		return "only " + rego.SettingsFile + " is read beside the rules"
	case ext == ".rego" || strings.Contains(path.Base(name), ".rego.") && ext != ".bak" && ext != ".orig" && ext != ".swp":
		return "rules are in files whose names end in .rego"
	}
	return ""
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
	modules, err := example.TestModules(c.rules.Sources, c.tests)
	if err != nil {
		c.addErrors(rego.Errors{{File: c.lastDirectory(), Code: "rego_compile_error", Message: err.Error()}})
		return
	}
	compiler := example.NewTestCompiler()
	compiler.Compile(modules)
	c.addErrors(rego.FromOPA(compiler.Errors).OrNil())
}

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
