package facts

import (
	"context"
	"io/fs"

	"hermes-reconcile/policy"
)

// operatorMarkers are files with which operators of other supervisors say what
// should start.
var operatorMarkers = []string{".no-auto-start", ".autostart"}

// operatorFiles says which files of the operator's are in a profile.
func operatorFiles(c Config) ProfileSource {
	names := append([]string{}, operatorMarkers...)
	for _, name := range c.OperatorFiles {
		if fs.ValidPath(name) && name != "." {
			names = append(names, name)
		}
	}
	return ProfileSource{"operator_files", operatorFilesSchema, func(_ context.Context, dir policy.Directory) (any, error) {
		return describeFiles(dir, names), nil
	}}
}

func operatorFilesSchema() string {
	return fact(byAgent, "files with which an operator marks a profile; the agent could make them too", properties{
		"files": filesSchema("those that are there of .no-auto-start, .autostart and the configured names, by name"),
	})
}
