package trust

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A mounted ConfigMap is a directory of mode 0777 with links in it, on a read-only mount. It is
// trusted as long as nothing else shows the same directory writable.
func TestMountedConfigMap(t *testing.T) {
	if os.Getenv("TEST_MOUNTS") == "" {
		tree(t)
		again := exec.Command("unshare", "--mount", "--propagation", "private", os.Args[0], "-test.run=^TestMountedConfigMap$")
		again.Env = append(os.Environ(), "TEST_MOUNTS=1")
		out, err := again.CombinedOutput()
		if strings.Contains(string(out), "unshare failed") {
			t.Skipf("no mounts of its own: %s", out)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.Mkdir(at("node"), 0o755))
	must(t, unix.Mount("none", at("node"), "tmpfs", 0, ""))
	t.Cleanup(func() { _ = unix.Unmount(at("node"), unix.MNT_DETACH) })
	for _, name := range []string{"node/map/..1", "node/volume", "policy", "home"} {
		must(t, os.MkdirAll(at(name), 0o755))
	}
	must(t, os.Chmod(at("node/map"), 0o777))
	must(t, os.WriteFile(at("node/map/..1/rule.rego"), nil, 0o644))
	must(t, os.Symlink("..1", at("node/map/..data")))
	must(t, os.Symlink("..data/rule.rego", at("node/map/rule.rego")))
	must(t, os.WriteFile(at("node/map/..1/theirs.rego"), nil, 0o644))
	must(t, os.Chown(at("node/map/..1/theirs.rego"), agent, agent))
	bind := func(from, to string) {
		must(t, unix.Mount(at(from), at(to), "", unix.MS_BIND, ""))
		t.Cleanup(func() { _ = unix.Unmount(at(to), unix.MNT_DETACH) })
	}
	readable := func(name string) error {
		_, err := fs.ReadFile(Files(at("policy"), NotBy(agent, agent)), name)
		return err
	}

	bind("node/map", "policy")
	if readable("rule.rego") == nil {
		t.Error("a directory that the agent can write is trusted")
	}
	must(t, unix.Mount("", at("policy"), "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	if readable("rule.rego") == nil {
		t.Error("trusted, and the agent can write the directory at another mount")
	}
	bind("node/volume", "home") // another place of the same file system
	must(t, unix.Unmount(at("node"), unix.MNT_DETACH))
	if err := readable("rule.rego"); err != nil {
		t.Errorf("a mounted ConfigMap: %v", err)
	}
	if readable("theirs.rego") == nil {
		t.Error("a file of the agent's is trusted")
	}
	bind("policy", "home") // read-only as what it shows
	if readable("rule.rego") != nil {
		t.Error("not trusted beside another read-only mount")
	}
}
