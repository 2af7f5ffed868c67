package rego

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.yaml.in/yaml/v3"
)

// readFiles parses every file of rules and of tests, and names the files that
// look as if they mattered and do not.
func (c *checker) readFiles() {
	for i, layer := range c.layers {
		if i == 0 {
			sources, err := parseLayer(i, layer)
			c.addErrors(err)
			c.sources = sources
			continue
		}
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
			if entry.IsDir() {
				return nil
			}
			c.readFile(i, name)
			return nil
		})
		if err != nil {
			c.add(Finding{Code: "directory_unreadable", File: layer.Name, Message: err.Error()})
		}
	}
}

// readFile reads one file of rules or tests; a FIFO or a device is not waited for.
func (c *checker) readFile(layer int, name string) {
	files, shown := c.layers[layer].Files, path.Join(c.layers[layer].Name, name)
	info, err := fs.Stat(files, name)
	if err == nil && info.IsDir() {
		return // a link to one, as a ConfigMap has
	}
	if !strings.HasSuffix(name, ".rego") {
		if why := looksMeant(name); why != "" {
			c.addUnread(layer, name, why)
		}
		return
	}
	var text []byte
	if err == nil {
		text, err = readFile(files, name)
	}
	if err != nil {
		c.unparsed = true
		c.add(Finding{Code: "file_unreadable", File: shown, Row: 1, Col: 1, Message: err.Error()})
		return
	}
	s, errs := parse(layer, shown, text)
	if errs == nil && isRuleFile(name) {
		c.sources = append(c.sources, s)
	} else if errs == nil {
		c.tests = append(c.tests, s)
	} else {
		c.unparsed = true
		c.addErrors(errs)
	}
}

func (c *checker) addUnread(layer int, name, why string) {
	c.add(Finding{File: path.Join(c.layers[layer].Name, name), Row: 1, Col: 1, Code: "ignored_file",
		Message: "nothing reads this file: " + why})
}

// looksMeant says why a file that somebody may have meant to be read is not. The
// directory schemas belongs to the author's editor, and examples to the author.
func looksMeant(name string) string {
	top, _, _ := strings.Cut(name, "/")
	switch ext := strings.ToLower(path.Ext(name)); {
	case name == settingsFile || top == "schemas":
		return ""
	case strings.HasPrefix(path.Base(name), "settings."):
		return "settings are in " + settingsFile
	case ext == ".json" || ext == ".yaml" || ext == ".yml":
		return "only " + settingsFile + " is read beside the rules"
	case ext == ".rego" || strings.Contains(path.Base(name), ".rego.") && ext != ".bak" && ext != ".orig" && ext != ".swp":
		return "rules are in files whose names end in .rego"
	}
	return ""
}

// A settingPlaces knows where the settings of each file stand.
type settingPlaces map[string]map[string]int // file -> key -> row

// Compiled when they are first needed: a boot needs none of them.
var (
	quotedWord  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`"([A-Za-z0-9_.-]+)"`) })
	settingWord = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:setting )?([a-z0-9_]+)(?: is|:)`) })
	yamlLine    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`line (\d+)`) })
)

// find returns the place of a mistake in settings for which only words are known.
func (p settingPlaces) find(file, message string) (string, int) {
	if m := yamlLine().FindStringSubmatch(message); m != nil {
		row, _ := strconv.Atoi(m[1])
		return file, row
	}
	var words []string
	for _, m := range append(settingWord().FindAllStringSubmatch(message, 1), quotedWord().FindAllStringSubmatch(message, 1)...) {
		words = append(words, m[1])
	}
	for _, word := range words {
		if row := p[file][word]; row > 0 {
			return file, row
		}
		for other, keys := range p {
			if file == "settings" && keys[word] > 0 {
				return other, keys[word]
			}
		}
	}
	return file, 0
}

// readSettings lays the settings of all layers over each other, and names those
// that have no effect.
func (c *checker) readSettings() {
	c.places = settingPlaces{}
	c.settings = map[string]any{}
	owner := map[string]string{}
	for i, layer := range c.layers {
		more, err := readSettings(layer)
		if i > 0 {
			c.places[path.Join(layer.Name, settingsFile)] = keyRows(layer)
		}
		if err != nil {
			continue // Load reports it
		}
		for _, key := range sortedKeys(more) {
			c.settings[key] = more[key]
			file := path.Join(layer.Name, settingsFile)
			if earlier, ok := owner[key]; ok {
				c.addShadowed(earlier, key, file+" sets it too, and comes later")
			}
			if i > 0 {
				owner[key] = file
			}
		}
	}
	for _, key := range sortedKeys(c.options.Settings) {
		c.settings[key] = c.options.Settings[key]
		if file, ok := owner[key]; ok {
			c.addShadowed(file, key, "the configuration sets it too, and wins")
		}
	}
	c.unusedSettings(owner)
}

func (c *checker) addShadowed(file, key, why string) {
	c.add(Finding{File: file, Row: c.places[file][key], Col: 1, Code: "setting_shadowed",
		Message: fmt.Sprintf("setting %s has no effect here: %s", key, why)})
}

// unusedSettings names the settings that no rule reads. A rule that takes
// data.settings as a whole may read any.
func (c *checker) unusedSettings(owner map[string]string) {
	used := map[string]bool{"disabled_rules": true}
	whole := false
	for _, s := range slices.Concat(c.sources, c.tests) {
		ast.WalkRefs(s.module, func(ref ast.Ref) bool {
			if !ref.HasPrefix(settingsRef) {
				return false
			}
			if len(ref) == 2 {
				whole = whole || s.layer > 0 && !slices.ContainsFunc(c.tests, func(test source) bool { return test.module == s.module })
			} else if key, ok := ref[2].Value.(ast.String); ok {
				used[string(key)] = true
			} else {
				whole = true
			}
			return false
		})
	}
	builtin, err := readSettings(c.layers[0])
	if whole || err != nil || c.unparsed {
		return
	}
	for _, key := range sortedKeys(owner) {
		if _, known := builtin[key]; known || used[key] {
			continue
		}
		c.add(Finding{File: owner[key], Row: c.places[owner[key]][key], Col: 1, Code: "setting_unused",
			Message: fmt.Sprintf("no rule reads the setting %s", key)})
	}
}

// keyRows returns the rows of the keys below settings in data/settings.yaml.
func keyRows(layer Layer) map[string]int {
	text, err := fs.ReadFile(layer.Files, settingsFile)
	var root yaml.Node
	if err != nil || yaml.Unmarshal(text, &root) != nil || len(root.Content) == 0 {
		return nil
	}
	rows := map[string]int{}
	top := root.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		rows[top.Content[i].Value] = top.Content[i].Line
		below := top.Content[i+1]
		for j := 0; top.Content[i].Value == "settings" && j+1 < len(below.Content); j += 2 {
			rows[below.Content[j].Value] = below.Content[j].Line
		}
	}
	return rows
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// compile runs the checks of Load that work on what could be parsed.
func (c *checker) compile() {
	sources := c.sources
	if on, err := switchOff(slices.Clone(sources), c.settings); err == nil {
		sources = on
	}
	c.addErrors(noneIsNil(checkContract(sources)))
	c.addErrors(noneIsNil(checkSettingRefs(slices.Concat(sources, c.tests), c.settings)))
	if c.options.Schema != nil {
		c.addErrors(noneIsNil(checkTypes(sources, c.options.Schema)))
	}
	c.compileTests(sources)
}

// noneIsNil makes an empty list no error.
func noneIsNil(errs Errors) error {
	if len(errs) == 0 {
		return nil
	}
	return errs
}

// compileTests compiles the tests with the rules that they test.
func (c *checker) compileTests(sources []source) {
	if len(c.tests) == 0 || c.unparsed || slices.ContainsFunc(c.findings, func(f Finding) bool { return f.Severity == SeverityError }) {
		return // what is wrong with the rules would be said again
	}
	modules, err := testModules(sources, c.tests)
	if err != nil {
		c.addErrors(Errors{{File: c.lastDirectory(), Code: "rego_compile_error", Message: err.Error()}})
		return
	}
	compiler := newTestCompiler()
	compiler.Compile(modules)
	if opaErrors := ast.Errors(nil); errors.As(compiler.Errors, &opaErrors) && len(opaErrors) > 0 {
		c.addErrors(fromOPA(opaErrors))
	}
}
