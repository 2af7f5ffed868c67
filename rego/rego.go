// Package rego holds the rule packages and runs them. It is the only package
// that knows the Open Policy Agent; it knows neither the files of a home nor the
// supervisor.
//
// A rule package answers one question and only contributes: it adds members to
// sets such as start and hold (package policy lists them), and the engine
// combines what all packages said. Built-in packages are in policies/, one file
// each with its test beside it; an operator's directories add packages, and
// never change one. Recipes in recipes/ are packages that an operator may copy.
//
// Everything that could make a decision depend on more than its input (network,
// environment, clock, randomness) is taken out of the language before a package
// is compiled.
package rego

import (
	"embed"
	"io/fs"
)

//go:embed policies
var embedded embed.FS

// A Layer is a set of rule packages from one place.
type Layer struct {
	// Name is shown before the file names of the layer; it is the directory.
	Name string
	// Files holds *.rego files and data/settings.yaml.
	Files fs.FS
}

// BuiltIn returns the embedded layer. Its Name is empty: its files are shown by
// their bare names.
func BuiltIn() Layer {
	files, err := fs.Sub(embedded, "policies")
	if err != nil {
		panic(err) // the directory is compiled in
	}
	return Layer{Files: files}
}
