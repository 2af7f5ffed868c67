package scripts

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"hermes-reconcile/policy/trust"
)

// rootPath is the PATH of what root runs in a slot. The container's own PATH may begin with
// a directory of the agent's.
const rootPath = "/command:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// programDirs are where programs are looked for.
var programDirs = []string{"/command", "/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin", "/usr/local/sbin"}

const shell = "/bin/sh"

// programs are the absolute paths of the programs that scripts of slots run.
type programs struct {
	env, id, rm, sleep, log, setuidgid string
}

// findPrograms finds the programs of the scripts, and names those that are nowhere. It fails
// when others than root could have written one of them, or the shell; the error is about the
// first.
func (s Settings) findPrograms() (found programs, lacking []string, err error) {
	errs := []error{CheckProgram(shell)}
	dirs := s.ProgramDirs
	if dirs == nil {
		dirs = programDirs
	}
	find := func(name string) string {
		path, err := findProgram(name, dirs)
		if errors.Is(err, fs.ErrNotExist) {
			lacking = append(lacking, fmt.Sprintf("there is no %s in %s", name, strings.Join(dirs, ", ")))
			return path
		}
		errs = append(errs, err)
		return path
	}
	found = programs{
		env: find("env"), id: find("id"), rm: find("rm"), sleep: find("sleep"), log: find("s6-log"), setuidgid: find("s6-setuidgid"),
	}
	return found, append(lacking, s.lacksCommand()...), cmp.Or(errs...)
}

// containerPath is where s6-overlay keeps the PATH that with-contenv sets.
const containerPath = "/run/s6/container_environment/PATH"

// lacksCommand returns why the command of the gateways cannot run, as far as that shows
// without a look at the volume, where a look may hang.
func (s Settings) lacksCommand() []string {
	if len(s.Command) == 0 {
		return nil
	}
	name, dirs := s.Command[0], []string{""}
	missing := "gateway.command: there is no program " + name
	if !strings.Contains(name, "/") {
		path := os.Getenv("PATH")
		if text, err := os.ReadFile(containerPath); err == nil && s.Contenv != "" {
			path = strings.TrimSuffix(string(text), "\n")
		}
		dirs, missing = filepath.SplitList(path), missing+" in the PATH "+path
	}
	for _, dir := range dirs {
		file := filepath.Join(dir, name)
		if !filepath.IsAbs(file) || strings.HasPrefix(file, filepath.Clean(s.Home)+"/") {
			return nil
		}
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return nil
		}
	}
	return []string{missing}
}

// findProgram returns the first path of a program that only root can have written. A
// program that is nowhere has a path in the first directory, because a plan can be shown on a
// machine without s6; the error then wraps fs.ErrNotExist.
func findProgram(name string, dirs []string) (string, error) {
	refused := fs.ErrNotExist
	for _, dir := range dirs {
		path := dir + "/" + name
		err := CheckProgram(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && errors.Is(refused, fs.ErrNotExist) {
			refused = err
		}
	}
	return dirs[0] + "/" + name, refused
}

// CheckProgram returns why root must not run a program: others than root, or the caller
// when not root, could have written the file or replaced it.
func CheckProgram(path string) error {
	err := trust.Program(path, trust.Only(os.Geteuid()))
	switch untrusted, ok := errors.AsType[*trust.Error](err); {
	case !filepath.IsAbs(path):
		return fmt.Errorf("%q is not an absolute path", path)
	case err == nil:
		return nil
	case ok && untrusted.Path != path:
		err = fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Errorf("%w; want a program that only root can write, in directories that only root can write", err)
}
