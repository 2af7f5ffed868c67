package rego

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A source is one parsed file of rules.
type source struct {
	layer  int
	name   string // as errors show it
	file   string // in its layer
	text   []byte
	module *ast.Module
}

// parseLayer reads every rule file of a layer, in lexical order. Files and
// directories whose names start with a dot are left out (the versions behind a
// mounted ConfigMap, an editor's swap files), and so are tests, which must not
// decide anything at boot.
func parseLayer(index int, layer Layer) ([]source, error) {
	names, err := ruleFiles(layer.Files, ".", 0)
	if err != nil {
		return nil, fmt.Errorf("policy directory %s: %w", layer.Name, err)
	}
	sources, problems := make([]source, len(names)), make([]error, len(names))
	onAllProcessors(len(names), func(i int) {
		sources[i], problems[i] = readSource(index, layer, names[i])
	})
	var errs Errors
	for _, problem := range problems {
		parseErrs, ok := errors.AsType[Errors](problem)
		if problem != nil && !ok {
			return nil, fmt.Errorf("policy directory %s: %w", layer.Name, problem)
		}
		errs = append(errs, parseErrs...)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return sources, nil
}

// readSource reads one rule file. The error is an Errors where it is about the text.
func readSource(index int, layer Layer, name string) (source, error) {
	text, err := readFile(layer.Files, name)
	if err != nil {
		return source{}, err
	}
	s, errs := parse(index, path.Join(layer.Name, name), text)
	if len(errs) > 0 {
		return source{}, errs
	}
	s.file = name
	return s, nil
}

// maxDepth is how many directories deep rules may be; links that lead in a circle
// end there.
const maxDepth = 8

// ruleFiles lists the rule files below a directory. Links to directories are
// followed: a mounted ConfigMap has no others.
func ruleFiles(files fs.FS, dir string, depth int) ([]string, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%s: more than %d directories deep, or links that lead in a circle", dir, maxDepth)
	}
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		isDir := entry.IsDir()
		switch {
		case strings.HasPrefix(entry.Name(), "."):
			continue
		case isRuleFile(name) || entry.Type()&fs.ModeSymlink != 0:
			info, err := fs.Stat(files, name)
			if err != nil && isRuleFile(name) {
				return nil, err
			}
			isDir = err == nil && info.IsDir()
		}
		if !isDir {
			if isRuleFile(name) {
				names = append(names, name)
			}
			continue
		}
		below, err := ruleFiles(files, name, depth+1)
		if err != nil {
			return nil, err
		}
		names = append(names, below...)
	}
	return names, nil
}

// maxFile is the largest file of rules or settings that is read. Rules that people
// write have a thousandth of that.
const maxFile = 4 << 20

// readFile reads a regular file of a layer. Anything else could keep the boot
// waiting.
func readFile(files fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(files, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, want at most %d", name, info.Size(), maxFile)
	}
	return fs.ReadFile(files, name)
}

func isRuleFile(name string) bool {
	return strings.HasSuffix(name, ".rego") && !strings.HasSuffix(name, "_test.rego")
}

func parse(layer int, name string, text []byte) (source, Errors) {
	// What METADATA says of the built-in packages is for documents alone.
	options := ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: layer > 0, Capabilities: capabilities()}
	module, err := ast.ParseModuleWithOpts(name, string(text), options)
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
