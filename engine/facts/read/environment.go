package read

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"

	"hermes-reconcile/policy"
)

// maxEnvFiles bounds how many variables the directory of s6-overlay may have.
const maxEnvFiles = 4096

// An Environment is the environment that the container was given.
type Environment struct {
	Values  map[string]string
	Source  string // "process", "directory", "process+directory" or "none"
	Problem string // why variables may be missing
}

// ReadEnvironment returns the variables of a process, and those that only the directory of
// s6-overlay has, as a file each. A process that s6 started without with-contenv has only
// those of the directory. Nil is the environment of this process, and "" the directory's
// usual place.
func ReadEnvironment(dir string, environ []string) Environment {
	if environ == nil {
		environ = os.Environ()
	}
	dir = cmp.Or(dir, "/run/s6/container_environment")
	e := Environment{Values: map[string]string{}, Source: "none"}
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			e.Values[name] = value
			e.Source = "process"
		}
	}
	open, err := os.Open(dir)
	if err != nil {
		if out := OutcomeOf(err); out.Status != policy.StatusMissing {
			e.Problem = "the variables that s6-overlay keeps cannot be read, so some may be missing: " + out.Error
		}
		return e
	}
	defer open.Close()
	names, _ := open.Readdirnames(maxEnvFiles)
	for _, name := range names {
		if _, set := e.Values[name]; set || !IsVariable(name) {
			continue
		}
		data, out := Path(filepath.Join(dir, name), MaxState)
		if out.Status != "" {
			continue
		}
		e.Values[name] = strings.TrimSuffix(string(data), "\n")
		if e.Source == "none" {
			e.Source = "directory"
		} else if e.Source == "process" {
			e.Source = "process+directory"
		}
	}
	return e
}
