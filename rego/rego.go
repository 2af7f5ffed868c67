// Package rego holds the rule packages and runs them. With the packages below it,
// it is the only one that knows the Open Policy Agent. It knows neither the files of
// a home nor the supervisor.
//
// A rule package answers one question and only contributes: it adds members to sets
// such as start and hold (package policy lists the sets), and the engine combines the
// contributions of all packages. The built-in packages are in policies/, one file each
// with its test beside it. The directories of an operator add packages and never
// change one.
//
// Everything that could make a decision depend on more than its input (network,
// environment, clock, randomness) is removed from the language before a package is
// compiled.
//
// This package is what a boot needs: it loads, compiles and evaluates. Package bundle
// keeps the rules that worked; packages check and workbench are for authors of rules.
package rego

import (
	"embed"
	"io/fs"
	"path"
	"strings"

	"hermes-reconcile/policy"
)

//go:embed policies
var embedded embed.FS

// A Layer is a set of rule packages from one place.
type Layer struct {
	// Name is the directory, or the URL of a bundle. Errors print it before the names of its
	// files.
	Name string
	// Files holds *.rego files and data/settings.yaml.
	Files fs.FS
	// Bundle describes a layer that is a bundle which could be read.
	Bundle *policy.Bundle
}

// Shown is the name of a file of the layer, as errors print it.
func (l Layer) Shown(file string) string {
	if strings.Contains(l.Name, "://") {
		return l.Name + ":" + file
	}
	return path.Join(l.Name, file)
}

// CompiledIn returns what is made of a file that is compiled in, and that a test reads: so
// there is no error.
func CompiledIn[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// BuiltIn returns the embedded layer. Its Name is empty, so that errors print the bare
// names of its files.
func BuiltIn() Layer {
	return Layer{Files: CompiledIn(fs.Sub(embedded, "policies"))}
}
