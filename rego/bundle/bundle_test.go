package bundle

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
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
	e, err := copied.Load(rego.BuiltIn(), rego.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s := e.Status(); !s.Fallback || !strings.HasPrefix(s.Source, "built-in, last good copy of 20") || s.Revision != revision {
		t.Errorf("status %+v, want a fallback of revision %s", s, revision)
	}
	got := e.Evaluate(t.Context(), policy.StageRules, input(`{"coder": {"prior_state": {"desired": "starting"}}}`))
	if len(got.Failures) > 0 || len(got.Contributions) != 2 || e.Setting("mine") == nil {
		t.Errorf("got %+v, want the hold of the rule and the start of the setting", got)
	}
}

// loadOrFallBack is FallBack in one process.
func loadOrFallBack(layers []rego.Layer, o rego.Options, dir string) (*rego.Evaluator, []error, error) {
	return FallBack(func(c Choice) (*rego.Evaluator, error) { return Load(c, layers, o, dir) })
}

func TestFallBackTakesTheLastGoodCopy(t *testing.T) {
	t.Parallel()
	state, _ := saved(t, map[string]string{"site.rego": siteRule}, nil)
	broken := directory(writeFiles(t, map[string]string{"site.rego": "package reconcile.rules.site\n\nhold contains {"}))
	e, causes, err := loadOrFallBack(broken, rego.Options{}, state)
	if err != nil {
		t.Fatal(err)
	}
	s := e.Status()
	if !s.Fallback || !strings.Contains(s.Source, "last good copy") || len(causes) == 0 || !strings.Contains(causes[0].Error(), "site.rego:3:") {
		t.Errorf("status %+v and %v, want the copy and the mistake", s, causes)
	}
	for _, c := range e.Evaluate(t.Context(), policy.StageRules, input(running)).Contributions {
		if c.Set == policy.SetHold && !strings.HasPrefix(c.Location, "last-good:") {
			t.Errorf("%+v names the present file, which has another text", c)
		}
	}

	// A copy that cannot be used is said beside the first mistake.
	if err := os.Truncate(filepath.Join(state, LastGoodFile), 100); err != nil {
		t.Fatal(err)
	}
	e, causes, err = loadOrFallBack(broken, rego.Options{}, state)
	if err != nil {
		t.Fatal(err)
	}
	if s := e.Status(); s.Source != "built-in" || len(causes) != 2 || !strings.Contains(causes[1].Error(), "the last good copy of the rules") {
		t.Errorf("status %+v and %v, want the built-in rules and both mistakes", s, causes)
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
		{"torn", change(func(_, file string) error { return os.Truncate(file, 200) }), "zip"},
		{"one letter of a rule changed", change(func(_, file string) error {
			text, err := os.ReadFile(file)
			text = []byte(strings.Replace(string(text), `"reason": "site"`, `"reason": "evil"`, 1))
			return errors.Join(err, os.WriteFile(file, text, 0o644))
		}), "1/site.rego: zip: checksum error"},
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

// An equal copy is left alone, a changed policy replaces it, and one without
// anything of an operator's removes it.
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
	if at := save([]rego.Layer{rego.BuiltIn()}); !at.IsZero() {
		t.Error("the copy is there though the operator has taken the rules away")
	}
	if _, err := Read(state); !errors.Is(err, ErrNoLastGood) {
		t.Errorf("got %v, want ErrNoLastGood", err)
	}
}

func TestFallBackToTheBuiltInRules(t *testing.T) {
	t.Parallel()
	broken := directory(writeFiles(t, map[string]string{"a.rego": "package reconcile.rules.site\n\nhold contains {"}))
	e, causes, err := loadOrFallBack(broken, rego.Options{Settings: map[string]any{"start_states": []any{"running", "starting"}}}, "")
	if err != nil {
		t.Fatal(err)
	}
	if s := e.Status(); s.Source != "built-in" || len(causes) == 0 || !strings.Contains(causes[0].Error(), "/a.rego:3:") {
		t.Errorf("status %+v and %v, want a fallback that names the file", s, causes)
	}
	starting := input(`{"coder": {"prior_state": {"status": "recorded", "desired": "starting"}}}`)
	if got := e.Evaluate(t.Context(), policy.StageRules, starting); len(got.Contributions) != 1 {
		t.Errorf("the settings of the configuration are lost in the fallback: %+v", got)
	}

	_, causes, err = loadOrFallBack(broken, rego.Options{Settings: map[string]any{"start_states": 7}}, "")
	if err != nil {
		t.Fatal(err)
	}
	if text := errors.Join(causes...).Error(); strings.Count(text, "\n") < 1 {
		t.Errorf("%s, want both errors", text)
	}
}

// A copy of an earlier version has digests of its files in the manifest.
func TestACopyOfAnEarlierVersionIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, err := os.OpenFile(filepath.Join(dir, LastGoodFile), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(file)
	for name, text := range map[string]string{
		"manifest.json": `{"schema_version": 1, "saved": "2026-11-20T06:00:00Z", "revision": "abc", "layers": ["/etc/policy"], "settings": null, "files": {"1/site.rego": "0123"}}`,
		"1/site.rego":   siteRule,
	} {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = f.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), file.Close(), os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	copied, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := copied.Load(rego.BuiltIn(), rego.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Evaluate(t.Context(), policy.StageRules, input(running)); copied.Revision != "abc" || len(got.Contributions) != 2 {
		t.Errorf("revision %s, contributions %+v, want abc, and those of the copied rule and of prior_intent", copied.Revision, got.Contributions)
	}
}
