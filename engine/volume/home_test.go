package volume

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/policy"
)

// newHome opens a home that hometest.New makes.
func newHome(t *testing.T, files map[string]string) *Home {
	t.Helper()
	h, err := Open(hometest.New(t, files))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func profileNamed(t *testing.T, h *Home, name string) policy.Directory {
	t.Helper()
	p, ok := policy.ProfileNamed(name)
	if !ok {
		t.Fatalf("no profile can be called %q", name)
	}
	d, done, err := h.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	return d
}

func TestProfilesAreDirectoriesAndLinksInOrder(t *testing.T) {
	h := newHome(t, map[string]string{
		"profiles/writer/":        "",
		"profiles/coder/":         "",
		"profiles/default/":       "",
		"profiles/linked":         "-> coder",
		"profiles/notes.txt":      "no profile",
		"profiles/pipe":           "fifo",
		"profiles/two\nlines/":    "",
		"profiles/\xff\xfebytes/": "",
	})
	profiles, err := h.Profiles(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	var names []string
	for _, p := range profiles {
		got[p.Name] = p.Dir
		names = append(names, p.Name)
	}
	want := []string{`"\xff\xfebytes"`, `"two\nlines"`, "coder", "default", "linked", "profiles/default", "writer"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("profiles (-want +got):\n%s", diff)
	}
	if got["default"] != "." || got["profiles/default"] != "profiles/default" {
		t.Errorf("the root profile is at %q, the directory default at %q", got["default"], got["profiles/default"])
	}
}

func TestProfilesDirSaysWhatStandsInTheWay(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  policy.ProfilesDir
	}{
		{"missing", nil, policy.ProfilesDir{Status: "missing"}},
		{"empty", map[string]string{"profiles/": ""}, policy.ProfilesDir{Status: "empty"}},
		{"link", map[string]string{"real/coder/": "", "profiles": "-> real"}, policy.ProfilesDir{Status: "unreadable", Error: "not a directory, or a link to one"}},
		{"fifo", map[string]string{"profiles": "fifo"}, policy.ProfilesDir{Status: "unreadable", Error: "not a directory, or a link to one"}},
		{"file", map[string]string{"profiles": "text"}, policy.ProfilesDir{Status: "unreadable", Error: "not a directory, or a link to one"}},
		{"one and a file", map[string]string{"profiles/coder/": "", "profiles/x": ""}, policy.ProfilesDir{Status: "recorded", Entries: 1, Others: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHome(t, c.files)
			got, err := h.ProfilesDir(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("profiles_dir (-want +got):\n%s", diff)
			}
			profiles, err := h.Profiles(context.Background())
			isRoot := func(p policy.Profile) bool { return p == policy.Profile{Name: policy.RootProfile, Dir: "."} }
			if err != nil || !slices.ContainsFunc(profiles, isRoot) {
				t.Errorf("Profiles() = %v, %v, want the root profile in any case", profiles, err)
			}
		})
	}
}

func TestTooManyProfilesAreLeftOutAndSaidSo(t *testing.T) {
	files := map[string]string{}
	for _, entry := range []string{"a", "b", "c", "d", "e"} {
		files["profiles/"+entry+"/"] = ""
	}
	h := newHome(t, files)
	for limit, truncated := range map[int]bool{4: true, 5: false} {
		h.limit = limit
		profiles, err := h.Profiles(context.Background())
		if err != nil || len(profiles) != limit+1 {
			t.Errorf("Profiles() gave %d, %v, want %d and the root profile", len(profiles), err, limit)
		}
		if got, _ := h.ProfilesDir(context.Background()); got.Truncated != truncated {
			t.Errorf("profiles_dir = %+v, want truncated %v", got, truncated)
		}
	}
}

func TestNothingButRegularFilesIsOpened(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"profiles/coder/file":        "inside",
		"profiles/coder/state/file":  "inside",
		"profiles/coder/fifo":        "fifo",
		"profiles/coder/zero":        "-> /dev/zero",
		"profiles/coder/out":         "-> " + victim,
		"profiles/coder/in":          "-> file",
		"profiles/coder/dangling":    "-> nowhere",
		"profiles/coder/up":          "-> ../..",
		"profiles/coder/statelink":   "-> state",
		"profiles/coder/loop":        "-> loop",
		"profiles/coder/self":        "-> /proc/self/root",
		"profiles/coder/a-dir/":      "",
		"profiles/coder/deep/er/txt": "inside",
	}
	h := newHome(t, files)
	d := profileNamed(t, h, "coder")
	for _, c := range []struct {
		name string
		want error // nil: it opens
	}{
		{"file", nil}, {"state/file", nil}, {"deep/er/txt", nil},
		{"missing", fs.ErrNotExist}, {"missing/file", fs.ErrNotExist}, {"state/missing", fs.ErrNotExist},
		{"fifo", policy.ErrNotRegular}, {"zero", policy.ErrNotRegular}, {"out", policy.ErrNotRegular},
		{"in", policy.ErrNotRegular}, {"dangling", policy.ErrNotRegular}, {"a-dir", policy.ErrNotRegular},
		{"loop", policy.ErrNotRegular}, {"statelink/file", policy.ErrNotRegular}, {"up/profiles/coder/file", policy.ErrNotRegular},
		{"file/file", policy.ErrNotRegular}, {"self/etc/passwd", policy.ErrNotRegular},
		{"../coder/file", fs.ErrInvalid}, {"..", fs.ErrInvalid}, {".", fs.ErrInvalid}, {"/etc/passwd", fs.ErrInvalid},
		{"state//file", fs.ErrInvalid}, {"state/../file", fs.ErrInvalid}, {"", fs.ErrInvalid}, {"a\x00b", unix.EINVAL},
	} {
		f, err := d.Open(c.name)
		if err == nil {
			f.Close()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("Open(%q) = %v, want %v", c.name, err, c.want)
		}
	}
}

func TestAProfileThatIsALinkIsHandedOutButNotEntered(t *testing.T) {
	h := newHome(t, map[string]string{"profiles/coder/SOUL.md": "x", "profiles/evil": "-> coder"})
	d := profileNamed(t, h, "evil")
	info, err := d.Lstat(".")
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf(`Lstat(".") = %v, %v, want a link`, info, err)
	}
	if _, err := d.Open("SOUL.md"); !errors.Is(err, policy.ErrNotRegular) {
		t.Errorf("Open = %v, want %v", err, policy.ErrNotRegular)
	}
	if _, err := d.Lstat("SOUL.md"); !errors.Is(err, policy.ErrNotRegular) {
		t.Errorf("Lstat = %v, want %v", err, policy.ErrNotRegular)
	}
	if _, err := d.ReadDir(".", 10); !errors.Is(err, policy.ErrNotRegular) {
		t.Errorf("ReadDir = %v, want %v", err, policy.ErrNotRegular)
	}
}

func TestADirectoryStaysWhereItWasOpened(t *testing.T) {
	h := newHome(t, map[string]string{"profiles/coder/file": "mine", "profiles/other/file": "theirs"})
	d := profileNamed(t, h, "coder")
	profiles := filepath.Join(h.Path(), "profiles")
	if err := os.Rename(filepath.Join(profiles, "coder"), filepath.Join(profiles, "moved")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("other", filepath.Join(profiles, "coder")); err != nil {
		t.Fatal(err)
	}
	f, err := d.Open("file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := make([]byte, 16)
	if n, _ := f.Read(text); string(text[:n]) != "mine" {
		t.Errorf("read %q after the directory was replaced by a link, want %q", text[:n], "mine")
	}
}

func TestReadDirAndLstat(t *testing.T) {
	h := newHome(t, map[string]string{"profiles/coder/d/b": "12345", "profiles/coder/d/a": "-> b", "profiles/coder/d/c": "fifo"})
	d := profileNamed(t, h, "coder")
	names, err := d.ReadDir("d", 10)
	if err != nil || !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Fatalf("ReadDir = %v, %v", names, err)
	}
	for name, want := range map[string]fs.FileMode{"d/a": fs.ModeSymlink, "d/c": fs.ModeIrregular} {
		if info, err := d.Lstat(name); err != nil || info.Mode().Type() != want {
			t.Errorf("Lstat(%q) = %v, %v, want %v", name, info, err, want)
		}
	}
	info, err := d.Lstat("d/b")
	if err != nil || info.Size() != 5 || info.Name() != "b" {
		t.Errorf("Lstat = %v, %v, want b with 5 bytes", info, err)
	}
	if names, _ := d.ReadDir("d", 2); len(names) != 2 {
		t.Errorf("ReadDir with limit 2 = %v", names)
	}
	path := filepath.Join(h.Path(), "profiles/coder/d/b")
	want, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if policy.Identity(info) != policy.Identity(want) || policy.Identity(info) == "" {
		t.Errorf("Identity = %q, os.Lstat says %q", policy.Identity(info), policy.Identity(want))
	}
	if err := os.WriteFile(path, []byte("longer than before"), 0o644); err != nil {
		t.Fatal(err)
	}
	after, _ := d.Lstat("d/b")
	if policy.Identity(after) == policy.Identity(info) {
		t.Errorf("Identity did not change with the file")
	}
}

func TestClosedDirectoryAnswersWithAnError(t *testing.T) {
	h := newHome(t, map[string]string{"SOUL.md": "x"})
	d, done, err := h.Open(policy.Profile{Name: policy.RootProfile, Dir: "."})
	if err != nil {
		t.Fatal(err)
	}
	done()
	done()
	if _, err := d.Open("SOUL.md"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Open after done = %v, want %v", err, fs.ErrClosed)
	}
	if _, err := h.Root().Lstat("SOUL.md"); err != nil {
		t.Errorf("the home closed with one of its directories: %v", err)
	}
}

func TestLockIsSeen(t *testing.T) {
	h := newHome(t, map[string]string{"gateway.lock": "", "link.lock": "-> gateway.lock", "fifo.lock": "fifo"})
	probe := func(name string) (bool, error) { return h.root.LockHeld(name) }
	if held, err := probe("gateway.lock"); held || err != nil {
		t.Errorf("a free lock: %v, %v", held, err)
	}
	f, err := os.OpenFile(filepath.Join(h.Path(), "gateway.lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, how := range []int{unix.LOCK_EX, unix.LOCK_UN} {
		if err := unix.Flock(int(f.Fd()), how); err != nil {
			t.Fatal(err)
		}
		if held, err := probe("gateway.lock"); held != (how == unix.LOCK_EX) || err != nil {
			t.Errorf("after flock %d: %v, %v", how, held, err)
		}
	}
	record := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &record); err != nil {
		t.Fatal(err)
	}
	if held, err := probe("gateway.lock"); !held || err != nil {
		t.Errorf("with a record lock: %v, %v", held, err)
	}
	for _, name := range []string{"link.lock", "fifo.lock"} {
		if _, err := probe(name); !errors.Is(err, policy.ErrNotRegular) {
			t.Errorf("%s: %v, want %v", name, err, policy.ErrNotRegular)
		}
	}
	if _, err := probe("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing lock: %v", err)
	}
}
