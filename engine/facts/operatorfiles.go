package facts

import (
	"io/fs"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// operatorMarkers are files with which operators of other supervisors choose what starts.
var operatorMarkers = []string{".no-auto-start", ".autostart"}

type operatorFilesFact struct {
	read.Outcome
	Files map[string]fileFact `json:"files" about:"those of .no-auto-start, .autostart and the configured names that exist, by name" of:"one file"`
}

// operatorNames are the files that are looked for. A configured name that leads out of the
// profile is left out.
func operatorNames(configured []string) []string {
	names := append([]string{}, operatorMarkers...)
	for _, name := range configured {
		if fs.ValidPath(name) && name != "." {
			names = append(names, name)
		}
	}
	return names
}

// operatorFiles are the operator's files that exist in a profile.
func (c Config) operatorFiles(dir policy.Directory) operatorFilesFact {
	files, out := describeFiles(dir, c.marks)
	return operatorFilesFact{out, files}
}
