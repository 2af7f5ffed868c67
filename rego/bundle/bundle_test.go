package bundle

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/rego"
)

const siteRule = "package reconcile.rules.site\n\nhold contains {\"profile\": name, \"reason\": \"site\"} if some name, _ in input.profiles\n"

// writeFiles makes files below a new directory.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func directory(dir string) []rego.Layer {
	return []rego.Layer{rego.BuiltIn(), {Name: dir, Files: trust.Files(dir, trust.Anybody)}}
}

func input(profiles string) (in policy.Input) {
	if err := json.Unmarshal([]byte(profiles), &in.Profiles); err != nil {
		panic(err)
	}
	return in
}

const running = `{"coder": {"prior_state": {"status": "recorded", "desired": "running"}}}`

// saved loads an operator's files and saves them as the last good ones.
func saved(t *testing.T, files map[string]string, settings map[string]any) (state string, revision string) {
	t.Helper()
	e, err := rego.Load(directory(writeFiles(t, files)), rego.Options{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	state = filepath.Join(t.TempDir(), "state")
	if err := Save(state, e, time.Now()); err != nil {
		t.Fatal(err)
	}
	return state, e.Status().Revision
}

// The copy decides as the original did, wherever that is by then.
func TestLastGoodDecidesAsBefore(t *testing.T) {
	t.Parallel()
	state, revision := saved(t, map[string]string{
		"deep/site.rego":     siteRule,
		"data/settings.yaml": "settings: {mine: [a]}\n",
	}, map[string]any{"start_states": []any{"running", "starting"}})
	copied, err := Read(state)
	if err != nil {
		t.Fatal(err)
	}
	e, err := copied.Load(rego.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s := e.Status(); !s.Fallback || !strings.HasPrefix(s.Source, "built-in, last good copy of 20") || s.Revision != revision {
		t.Errorf("status %+v, want a fallback of revision %s", s, revision)
	}
	got := e.Evaluate(t.Context(), policy.StageRules, input(`{"coder": {"prior_state": {"desired": "starting"}}}`))
	if len(got.Failures) > 0 || len(got.Contributions) != 3 || e.Settings()["mine"] == nil {
		t.Errorf("got %+v, want the hold of the rule, the start of the setting, and the built-in restarts", got)
	}
}

func TestLastGoodIsRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a file to somebody else")
	}
	change := func(do func(state, file string) error) func(string) error {
		return func(state string) error { return do(state, filepath.Join(state, LastGoodFile)) }
	}
	tests := []struct {
		why  string
		make func(state string) error
		want string
	}{
		{"others may write the directory", change(func(state, _ string) error { return os.Chmod(state, 0o777) }), "can be written by others"},
		{"the sticky bit does not help the directory itself", change(func(state, _ string) error { return os.Chmod(state, 0o777|os.ModeSticky) }), "can be written by others"},
		{"others may write the directory above", change(func(state, _ string) error { return os.Chmod(filepath.Dir(state), 0o777) }), "can be written by others"},
		{"others may write the file", change(func(_, file string) error { return os.Chmod(file, 0o666) }), "can be written by others"},
		{"another owner", change(func(_, file string) error { return os.Chown(file, 10000, 10000) }), "is not owned by root"},
		{"another owner of the directory", change(func(state, _ string) error { return os.Chown(state, 10000, 10000) }), "is not owned by root"},
		{"a link", change(func(_, file string) error {
			return errors.Join(os.Rename(file, file+".x"), os.Symlink(file+".x", file))
		}), "is not a regular file"},
		{"a FIFO", change(func(_, file string) error { return errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o644)) }), "not a regular file"},
		{"torn", change(func(_, file string) error { return os.Truncate(file, 200) }), "is damaged"},
		{"one letter of a rule changed", change(func(_, file string) error {
			text, err := os.ReadFile(file)
			rule := base64.StdEncoding.EncodeToString([]byte(siteRule))
			evil := base64.StdEncoding.EncodeToString([]byte(strings.Replace(siteRule, `"site"`, `"evil"`, 1)))
			changed := strings.Replace(string(text), rule, evil, 1)
			if changed == string(text) {
				return errors.New("the rule is not in the copy")
			}
			return errors.Join(err, os.WriteFile(file, []byte(changed), 0o644))
		}), "its digest is not the one"},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			state, _ := saved(t, map[string]string{"site.rego": siteRule}, nil)
			if err := test.make(state); err != nil {
				t.Fatal(err)
			}
			if _, err := Read(state); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// An equal copy is left alone, and a changed policy replaces it. One without rules does not:
// only Forget removes rules.
func TestSaveFollowsThePolicy(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "a", "state")
	save := func(layers []rego.Layer) time.Time {
		t.Helper()
		e, err := rego.Load(layers, rego.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := Save(state, e, time.Now()); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(state, LastGoodFile))
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	one := directory(writeFiles(t, map[string]string{"site.rego": siteRule}))
	first := save(one)
	if again := save(one); first.IsZero() || !again.Equal(first) {
		t.Errorf("the equal copy was written again: %s, %s", first, again)
	}
	save(directory(writeFiles(t, map[string]string{"site.rego": strings.ReplaceAll(siteRule, `"site"`, `"other"`)})))
	copied, err := Read(state)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := rego.Load(one, rego.Options{}); err != nil || copied.Revision == other.Status().Revision {
		t.Errorf("the copy is still of the first policy (%v)", err)
	}
	if entries, _ := os.ReadDir(state); len(entries) != 1 {
		t.Errorf("%d entries in the state directory, want the copy alone", len(entries))
	}
	for why, layers := range map[string][]rego.Layer{
		"no directory": {rego.BuiltIn()}, "an empty directory": directory(t.TempDir()), "nothing that counts": directory(writeFiles(t, map[string]string{"quiet.rego.txt": siteRule})),
	} {
		e, err := rego.Load(layers, rego.Options{Settings: map[string]any{"mine": 1}})
		if err != nil {
			t.Fatal(err)
		}
		gone, ok := errors.AsType[*Gone](Save(state, e, time.Now()))
		if kept, err := Read(state); !ok || len(gone.Directories) != 1 || err != nil || kept.Revision != copied.Revision {
			t.Errorf("%s: %v, and the copy is %+v (%v); want the copy of the rules", why, gone, kept, err)
		}
	}
	forgotten, err := Forget(state)
	if err != nil || forgotten.Revision != copied.Revision {
		t.Errorf("forgot %+v (%v), want the copy", forgotten, err)
	}
	if _, err := Forget(state); !errors.Is(err, ErrNoLastGood) {
		t.Errorf("got %v, want ErrNoLastGood", err)
	}
	if at := save([]rego.Layer{rego.BuiltIn()}); !at.IsZero() {
		t.Error("there is a copy of nothing")
	}
}

// A directory that the operator does not name any more is not gone, if there are rules.
func TestGone(t *testing.T) {
	t.Parallel()
	a, b := writeFiles(t, map[string]string{"a.rego": siteRule}), writeFiles(t, map[string]string{"data/settings.yaml": "settings: {start_states: []}\n"})
	e, err := rego.Load(append(directory(a), directory(b)[1]), rego.Options{})
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(t.TempDir(), "state")
	if err := Save(state, e, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ directories, empty, want []string }{
		{[]string{a, b}, nil, nil},
		{[]string{"new"}, nil, nil},
		{[]string{a, "new"}, []string{"new"}, nil},
		{[]string{a, b}, []string{b}, []string{b}},
		{[]string{"new"}, []string{"new"}, []string{a, b}},
		{nil, nil, []string{a, b}},
	} {
		var got []string
		if gone, ok := errors.AsType[*Gone](CheckGone(state, test.directories, test.empty)); ok {
			got = gone.Directories
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%q, of them empty %q: gone is %q, want %q", test.directories, test.empty, got, test.want)
		}
	}
}
