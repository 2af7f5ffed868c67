package rego

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
)

// A Source is one file of rules or of tests.
type Source struct {
	Layer  int
	Name   string // as errors print it
	File   string // in its layer
	Text   []byte
	Module *ast.Module // nil: the file cannot be parsed
}

// Package returns the name of its package, such as reconcile.rules.multiplex. Without a
// line that names a package it is the name of the file.
func (s Source) Package() string {
	if s.Module != nil {
		return PackageName(s.Module.Package.Path)
	}
	if line := packageLine().FindSubmatch(s.Text); line != nil {
		return string(line[1])
	}
	return s.Name
}

var packageLine = policy.Pattern(`(?m)^package\s+([\w.]+)`)

// Kind returns KindRules, KindAfter, KindLib or KindMask, or "" for a package that has no place.
func (s Source) Kind() string { return packageKind(s.Package()) }

func (s Source) contributes() bool { return s.Kind() == KindRules || s.Kind() == KindAfter }

// Metadata returns the METADATA of its package, or nil.
func (s Source) Metadata() *ast.Annotations {
	for _, a := range s.Module.Annotations {
		if a.Scope == "package" {
			return a
		}
	}
	return nil
}

// ReadTests parses every *_test.rego file of a layer, as ReadRules parses the rules.
func ReadTests(index int, layer Layer) ([]Source, error) {
	sources, errs := readLayer(index, layer, isTestFile)
	return parsed(sources), errs.OrNil()
}

func parsed(sources []Source) []Source {
	return slices.DeleteFunc(slices.Clone(sources), func(s Source) bool { return s.Module == nil })
}

// readLayer reads the wanted files of a layer, also those that cannot be parsed.
func readLayer(index int, layer Layer, wanted func(name string) bool) (sources []Source, errs Errors) {
	names, err := FindFiles(layer.Files, wanted)
	if untrusted := distrust(layer.Name, err); untrusted != nil {
		return nil, untrusted
	}
	if err != nil {
		return nil, Errors{{File: "policy " + layer.Name, Code: CodeDirectory, Message: err.Error()}}
	}
	for _, name := range names {
		source, wrong := readSource(index, layer, name)
		sources, errs = append(sources, source), append(errs, wrong...)
	}
	return sources, errs
}

// readSource reads and parses one file of a layer.
func readSource(index int, layer Layer, name string) (Source, Errors) {
	shown := layer.Shown(name)
	text, err := ReadFile(layer.Files, name)
	s := Source{Layer: index, Name: shown, File: name, Text: text}
	if untrusted := distrust(shown, err); untrusted != nil {
		return s, untrusted
	}
	if err != nil {
		return s, Errors{{File: shown, Row: 1, Col: 1, Code: "file_unreadable", Message: err.Error()}}
	}
	parsed, err := Parse(index, shown, text)
	s.Module = parsed.Module
	errs, _ := errors.AsType[Errors](err)
	return s, errs
}

// maxDepth limits how many directories deep rules may be, so that a circle of links
// ends.
const maxDepth = 8

// FindFiles lists the wanted files in lexical order. It leaves out files and directories
// whose names start with a dot. It follows links to directories, because a mounted
// ConfigMap consists of them.
func FindFiles(files fs.FS, wanted func(name string) bool) ([]string, error) {
	return findFiles(files, ".", 0, wanted)
}

func findFiles(files fs.FS, dir string, depth int, wanted func(name string) bool) ([]string, error) {
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
		isDir, untrusted := entry.IsDir(), false
		if entry.Type()&fs.ModeSymlink != 0 {
			info, err := fs.Stat(files, name)
			isDir = err == nil && info.IsDir()
			_, untrusted = errors.AsType[*trust.Error](err)
		}
		switch {
		case strings.HasPrefix(entry.Name(), "."):
		case untrusted: // it may be a directory of rules; reading it is the error
			names = append(names, name)
		case isDir:
			below, err := findFiles(files, name, depth+1, wanted)
			if err != nil {
				return nil, err
			}
			names = append(names, below...)
		case wanted(name):
			names = append(names, name)
		}
	}
	return names, nil
}

// distrust returns the mistake of a directory or file that the agents could have written,
// or nil when err is none.
func distrust(name string, err error) Errors {
	untrusted, ok := errors.AsType[*trust.Error](err)
	if !ok {
		return nil
	}
	return Errors{{File: name, Code: policy.CodeUntrusted, Message: untrusted.Error() +
		", so they could have written these rules; " + untrusted.Mend()}}
}

// MaxFile limits the size of a file of rules or settings, in bytes. Rules that people
// write have a hundredth of that, and a literal of several MiB takes seconds to compile.
const MaxFile = 1 << 20

// ReadFile reads a regular file of a layer, whose file system does not wait for a FIFO, and
// which has at most MaxFile bytes.
func ReadFile(files fs.FS, name string) ([]byte, error) {
	file, err := files.Open(name)
	if errors.Is(err, policy.ErrNotRegular) {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		return nil, err
	}
	return trust.ReadAll(file, name, MaxFile)
}

func isRuleFile(name string) bool {
	return strings.HasSuffix(name, ".rego") && !isTestFile(name)
}

func isTestFile(name string) bool { return strings.HasSuffix(name, "_test.rego") }

// Parse parses the text of one file. The error is an Errors.
func Parse(layer int, name string, text []byte) (Source, error) {
	// METADATA of the built-in packages matters only to documentation.
	options := ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: layer > 0, Capabilities: capabilities()}
	module, err := ast.ParseModuleWithOpts(name, string(text), options)
	if err != nil {
		if parseErrs, ok := errors.AsType[ast.Errors](err); ok {
			return Source{}, FromOPA(parseErrs)
		}
		return Source{}, Errors{{File: name, Code: "rego_parse_error", Message: err.Error()}}
	}
	if module == nil {
		return Source{}, Errors{{File: name, Code: "rego_parse_error", Message: "empty: a rule file starts with its package"}}
	}
	return Source{Layer: layer, Name: name, Text: text, Module: module}, nil
}
