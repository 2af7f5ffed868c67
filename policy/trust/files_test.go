package trust

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

func TestFilesOfAnOperator(t *testing.T) {
	dir := tree(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"rules/deep/a.rego", "rules/theirs/a.rego", "rules/a.rego", "rules/b.rego", "away/a.rego", "volume/a.rego"} {
		must(t, os.MkdirAll(filepath.Dir(at(name)), 0o755))
		must(t, os.WriteFile(at(name), []byte("text"), 0o644))
	}
	for _, name := range []string{"rules/theirs", "rules/b.rego", "volume"} {
		must(t, os.Chown(at(name), agent, agent))
	}
	must(t, unix.Mkfifo(at("rules/fifo"), 0o644))
	for name, target := range map[string]string{
		"rules/link.rego": "../away/a.rego", "rules/linked": at("away"), "rules/round": ".",
		"rules/volume.rego": "../volume/a.rego", "rules/volume": "../volume", "rules/pipe": "fifo",
	} {
		must(t, os.Symlink(target, at(name)))
	}
	must(t, os.Mkdir(at("sticky"), 0o755))
	must(t, os.Chmod(at("sticky"), 0o777|fs.ModeSticky))
	must(t, os.Mkdir(at("sticky/mine"), 0o755))
	files := Files(at("rules"), NotBy(agent, agent))
	for name, want := range map[string]string{
		"a.rego": "", "deep/a.rego": "", "link.rego": "", "linked/a.rego": "", "round/round/a.rego": "",
		"b.rego": at("rules/b.rego"), "theirs/a.rego": at("rules/theirs"), "volume.rego": at("volume"), "volume/a.rego": at("volume"),
		"fifo": policy.ErrNotRegular.Error(), "pipe": policy.ErrNotRegular.Error(), "none": "no such file", "../away/a.rego": "invalid",
	} {
		text, err := fs.ReadFile(files, name)
		if want == "" && string(text) != "text" || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %q, %v, want %q", name, text, err, want)
		}
		var untrusted *Error
		if strings.HasPrefix(want, dir) && !errors.As(err, &untrusted) {
			t.Errorf("%s: %v, want an Error", name, err)
		}
	}
	if entries, err := fs.ReadDir(files, "."); err != nil || len(entries) != 11 {
		t.Errorf("entries %v, %v", entries, err)
	}
	if _, err := fs.ReadDir(files, "theirs"); err == nil {
		t.Error("a directory of the agent's was listed")
	}
	if _, err := Files("", Anybody).Open("."); err == nil {
		t.Error("a directory without a name was opened")
	}
	must(t, Directory(at("sticky/mine"), Only(0)))
	if _, err := fs.ReadDir(Files(at("sticky/mine"), Only(0)), "."); err != nil {
		t.Errorf("a directory below one like /tmp: %v", err)
	}
	if err := Directory(at("sticky"), Only(0)); err == nil {
		t.Error("a directory that all can write is trusted")
	}
}

func TestReadIsBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, []byte("12345"), 0o644))
	if text, err := Read(file, Anybody, 5); err != nil || string(text) != "12345" {
		t.Errorf("%q, %v", text, err)
	}
	must(t, os.Truncate(file, 50<<30))
	if _, err := Read(file, Anybody, 5); err == nil || !strings.Contains(err.Error(), file+" is too large, want at most 5 bytes") {
		t.Errorf("a file of 50 GiB: %v", err)
	}
	if _, err := Read(filepath.Dir(file), Anybody, 5); !errors.Is(err, policy.ErrNotRegular) {
		t.Errorf("a directory: %v", err)
	}
}

func TestNotByUser(t *testing.T) {
	file := filepath.Join(tree(t), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	for _, test := range []struct {
		user    string
		uid     int
		trusted bool
	}{
		{"10000:10000", 10000, false},
		{"10000:10000", 1000, true},
		{"0:0", 10000, true},
		{"root", 10000, true},
		{"no such user", 10000, false}, // upstream's
		{"10000", 10000, false},        // a name
		{"daemon", 1, false},
	} {
		must(t, os.Chown(file, test.uid, test.uid))
		if _, err := Check(file, NotByUser(test.user)); (err == nil) != test.trusted {
			t.Errorf("%+v: got %v", test, err)
		}
	}
	// The groups of a user count, beside the one that is named.
	must(t, os.Chown(file, 1000, 1))
	must(t, os.Chmod(file, 0o664))
	if _, err := Check(file, NotByUser("1:12345")); err == nil {
		t.Error("a file of a group of daemon's is trusted")
	}
}
