package scripts

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"hermes-reconcile/policy/trust"
)

// rootPath is the PATH of what root runs in a slot. The container's own PATH may begin with
// a directory of the agent's.
const rootPath = "/command:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Where programs are looked for, those of s6 and the others.
var (
	toolDirs   = []string{"/command", "/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin", "/usr/local/sbin"}
	systemDirs = []string{"/usr/bin", "/bin", "/usr/local/bin"}
)

// programs are the absolute paths of the programs that scripts of slots run.
type programs struct {
	env, id, rm, sleep, log, setuidgid string
}

// findPrograms finds the programs of the scripts. It fails when others than root could
// have written one of them, or the shell; the error is about the first.
func (s Settings) findPrograms() (programs, error) {
	errs := []error{CheckProgram(s.Shell)}
	find := func(name string, dirs []string) string {
		path, err := findProgram(name, dirs)
		errs = append(errs, err)
		return path
	}
	p := programs{env: find("env", systemDirs), id: find("id", systemDirs), rm: find("rm", systemDirs), sleep: find("sleep", systemDirs)}
	if s.Tools == "" {
		p.log, p.setuidgid = find("s6-log", toolDirs), find("s6-setuidgid", toolDirs)
	} else {
		p.log, p.setuidgid = filepath.Join(s.Tools, "s6-log"), filepath.Join(s.Tools, "s6-setuidgid")
		errs = append(errs, CheckTools(s.Tools))
	}
	return p, cmp.Or(errs...)
}

// findProgram returns the first path of a program that only root can have written. A
// program that is nowhere has a path in the first directory: a plan can be shown on a
// machine without s6.
func findProgram(name string, dirs []string) (string, error) {
	var refused error
	for _, dir := range dirs {
		path := dir + "/" + name
		err := CheckProgram(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			refused = cmp.Or(refused, err)
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

// CheckTools returns why a directory cannot be Settings.Tools.
func CheckTools(dir string) error {
	return cmp.Or(CheckProgram(filepath.Join(dir, "s6-log")), CheckProgram(filepath.Join(dir, "s6-setuidgid")))
}
