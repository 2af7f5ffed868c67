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

// agent is the user whose files are not trusted.
const agent = 10000

// A tree is a directory of root's in which a test makes files of the agent's.
func tree(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of another user")
	}
	return t.TempDir()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOnlyRootsPathsAreTrusted(t *testing.T) {
	dir := tree(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"root/below", "agent/below", "open/below", "sticky/below"} {
		must(t, os.MkdirAll(at(name), 0o755))
		must(t, os.WriteFile(at(name)+"/program", []byte("#!/bin/sh\n"), 0o755))
	}
	must(t, os.WriteFile(at("sticky/program"), nil, 0o755))
	must(t, os.Chown(at("agent"), agent, agent))
	must(t, os.Chmod(at("open"), 0o777))
	must(t, os.Chmod(at("sticky"), 0o777|fs.ModeSticky))
	for name, target := range map[string]string{
		"root/good": "below/program", "root/up": "../root/below/../below/program", "root/through": at("agent/below/program"),
		"root/loop": "loop", "agent/away": "../root/below/program",
	} {
		must(t, os.Symlink(target, at(name)))
	}
	must(t, os.WriteFile(at("root/theirs"), nil, 0o755))
	must(t, os.Chown(at("root/theirs"), agent, agent))
	must(t, unix.Mkfifo(at("root/fifo"), 0o755))
	must(t, os.MkdirAll(at("far/sticky/a"), 0o755))
	must(t, os.Chmod(at("far/sticky"), 0o777|fs.ModeSticky))
	must(t, os.Symlink("a", at("far/sticky/theirs")))
	must(t, os.Lchown(at("far/sticky/theirs"), agent, agent))
	must(t, os.WriteFile(at("far/sticky/a/program"), nil, 0o755))
	for name, want := range map[string]string{
		"root/below/program": "", "root/good": "", "root/up": "", "sticky/below/program": "",
		"sticky/program":            "can be written by others",
		"agent/below/program":       "is not owned by root",
		"agent/away":                "is not owned by root",
		"root/through":              "is not owned by root",
		"root/theirs":               "is not owned by root",
		"far/sticky/theirs/program": "is not owned by root",
		"open/below/program":        "can be written by others",
		"root/loop":                 "too many levels",
		"root/fifo":                 policy.ErrNotRegular.Error(),
		"root/below":                policy.ErrNotRegular.Error(),
		"root/none":                 "no such file",
	} {
		err := Program(at(name), Only(0))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}

func TestNotByTrustsOtherOperators(t *testing.T) {
	dir := tree(t)
	file := filepath.Join(dir, "rules.rego")
	must(t, os.WriteFile(file, nil, 0o664))
	for _, test := range []struct {
		uid, gid int
		mode     os.FileMode
		trusted  bool
	}{
		{0, 0, 0o664, true}, {1000, 1000, 0o664, true}, {agent, 0, 0o400, false},
		{1000, agent, 0o644, true}, {1000, agent, 0o664, false}, {0, 0, 0o666, false},
	} {
		must(t, os.Chown(file, test.uid, test.gid))
		must(t, os.Chmod(file, test.mode))
		_, err := Check(file, NotBy(agent, agent))
		var untrusted *Error
		if test.trusted && err != nil || !test.trusted && !errors.As(err, &untrusted) {
			t.Errorf("%+v: got %v", test, err)
		}
	}
}

func TestMakeDirectoryMakesNothingAtTheAgents(t *testing.T) {
	dir := tree(t)
	must(t, MakeDirectory(filepath.Join(dir, "a/b/c"), Only(0)))
	must(t, os.Mkdir(filepath.Join(dir, "theirs"), 0o755))
	must(t, os.Chown(filepath.Join(dir, "theirs"), agent, agent))
	must(t, os.Symlink("theirs", filepath.Join(dir, "link")))
	for _, name := range []string{"theirs/state", "link/state"} {
		if err := MakeDirectory(filepath.Join(dir, name), Only(0)); err == nil {
			t.Errorf("%s: made, want an error", name)
		}
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, "theirs")); len(entries) > 0 {
		t.Errorf("made at the agent's: %v", entries)
	}
}
