package beneath

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// tree makes a directory with a file, a link in each place of a name, and a FIFO. outside
// is the file that the links lead to.
func tree(t *testing.T) (d Dir, outside string) {
	t.Helper()
	base := t.TempDir()
	outside = filepath.Join(base, "outside/file")
	for _, name := range []string{"outside", "dir/sub"} {
		must(t, os.MkdirAll(filepath.Join(base, name), 0o755))
	}
	for _, name := range []string{"outside/file", "dir/sub/file"} {
		must(t, os.WriteFile(filepath.Join(base, name), []byte("precious"), 0o644))
	}
	must(t, os.Symlink(outside, filepath.Join(base, "dir/link")))
	must(t, os.Symlink(filepath.Dir(outside), filepath.Join(base, "dir/linked")))
	must(t, unix.Mkfifo(filepath.Join(base, "dir/fifo"), 0o644))
	d, err := OpenDir(filepath.Join(base, "dir"))
	must(t, err)
	t.Cleanup(d.Close)
	return d, outside
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	d, _ := tree(t)
	for name, want := range map[string]error{
		"sub/file": nil, "sub/none": unix.ENOENT, "none/file": unix.ENOENT, "sub/file/x": unix.ENOTDIR,
		"link": policy.ErrNotRegular, "linked/file": policy.ErrNotRegular, "fifo": policy.ErrNotRegular, "sub": policy.ErrNotRegular,
	} {
		data, err := d.Read(name)
		if !errors.Is(err, want) || (err == nil) != (string(data) == "precious") {
			t.Errorf("Read(%q): got %q, %v; want error %v", name, data, err, want)
		}
	}
}

func TestWritesFollowNoLink(t *testing.T) {
	t.Parallel()
	d, outside := tree(t)
	for name, write := range map[string]func() error{
		"Create over a link":                 func() error { return d.Create(File{Name: "link"}) },
		"Replace through a linked parent":    func() error { return d.Replace(File{Name: "linked/file"}, d, "temp") },
		"Replace with a link as its staging": func() error { return d.Replace(File{Name: "sub/file"}, d, "link") },
	} {
		if err := write(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	must(t, d.Replace(File{Name: "fifo", Mode: 0o600, Content: []byte("new")}, d, "temp"))
	if same, err := d.Has(File{Name: "fifo", Mode: 0o600, Content: []byte("new")}, -1); !same || err != nil {
		t.Errorf("Has after Replace: %v, %v", same, err)
	}
	if data, err := os.ReadFile(outside); err != nil || string(data) != "precious" {
		t.Errorf("the file outside: %q, %v", data, err)
	}
	if left, err := d.Exists("temp"); left || err != nil {
		t.Errorf("the temporary file is left: %v, %v", left, err)
	}
}
