package beneath

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A tree that is deeper than a process can have descriptors is removed, and no link leads
// out of it.
func TestRemoveAllOfAnyDepth(t *testing.T) {
	const levels = 500
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	few := limit
	few.Cur = 60
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &few))
	defer func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) }()
	d, outside := tree(t)
	must(t, d.Mkdir("deep", 0o755))
	at, err := d.OpenDir("deep")
	must(t, err)
	for level := range levels {
		must(t, at.Mkdir("x", 0o755))
		if level%100 == 0 {
			must(t, at.Create(File{Name: "file"}))
			must(t, unix.Symlinkat(outside, int(at), "link"))
			must(t, unix.Symlinkat(filepath.Dir(outside), int(at), "linked"))
			must(t, at.Mkdir("beside", 0o755))
		}
		next, err := at.OpenDir("x")
		must(t, err)
		at.Close()
		at = next
	}
	at.Close()
	must(t, d.RemoveAll("deep"))
	if exists, err := d.Exists("deep"); exists || err != nil {
		t.Errorf("it exists: %v, %v", exists, err)
	}
	if text, err := os.ReadFile(outside); string(text) != "precious" {
		t.Errorf("the file outside: %q, %v", text, err)
	}
}

func TestRemoveAllOfAnythingElse(t *testing.T) {
	t.Parallel()
	d, outside := tree(t)
	must(t, d.Mkdir("wide", 0o755))
	for n := range atOnce + 10 {
		must(t, d.Mkdir(fmt.Sprint("wide/", n), 0o755))
		must(t, d.Create(File{Name: fmt.Sprint("wide/", n, "/file")}))
	}
	for _, name := range []string{"wide", "sub", "fifo", "link", "linked", "none"} {
		must(t, d.RemoveAll(name))
		if exists, err := d.Exists(name); exists || err != nil {
			t.Errorf("%s exists: %v, %v", name, exists, err)
		}
	}
	if text, err := os.ReadFile(outside); string(text) != "precious" {
		t.Errorf("the file outside: %q, %v", text, err)
	}
}
