package rego

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/policy"
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

func directory(dir string) []Layer {
	return []Layer{BuiltIn(), {Name: dir, Files: os.DirFS(dir)}}
}

// saved loads an operator's files and saves them as the last good ones.
func saved(t *testing.T, files map[string]string, settings map[string]any) (state string, revision string) {
	t.Helper()
	e, err := Load(directory(writeFiles(t, files)), Options{Schema: []byte(schema), Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	state = filepath.Join(t.TempDir(), "state")
	if err := e.Save(state, time.Now()); err != nil {
		t.Fatal(err)
	}
	return state, e.Status().Revision
}

// A ConfigMap is mounted as links to files, and links to directories, behind a
// dotted link that changes.
func TestAMountedConfigMap(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"..2026_11_22/site.rego":          siteRule,
		"..2026_11_22/more/deep.rego":     strings.ReplaceAll(siteRule, "site", "deep"),
		"..2026_11_22/data/settings.yaml": "settings: {start_states: [starting]}\n",
		"..2026_11_22/site_test.rego":     "package reconcile.rules.site_test\n\nnonsense",
	})
	for name, target := range map[string]string{
		"..data": "..2026_11_22", "site.rego": "..data/site.rego", "more": "..data/more",
		"data": "..data/data", "site_test.rego": "..data/site_test.rego",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	e, err := Load(directory(dir), Options{Schema: []byte(schema)})
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]int{}
	for _, c := range e.Evaluate(t.Context(), policy.StageRules, input(`{"coder": {"prior_state": {"desired": "starting"}}}`)).Contributions {
		reasons[c.Reason]++
	}
	if reasons["site"] != 1 || reasons["deep"] != 1 || reasons["desired state was starting"] != 1 {
		t.Errorf("reasons %v, want those of both rules once, and of the setting", reasons)
	}
}

// What is in an operator's directory by mistake does not hang the boot.
func TestALayerThatCannotBeRead(t *testing.T) {
	for why, make := range map[string]func(path string) error{
		"is no regular file":       func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"no such file":             func(path string) error { return os.Symlink("nowhere", path) },
		"links that lead in a cir": func(path string) error { return os.Symlink(".", filepath.Join(filepath.Dir(path), "round")) },
		"want at most": func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, maxFile+1))
		},
	} {
		dir := t.TempDir()
		if err := make(filepath.Join(dir, "site.rego")); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(directory(dir), Options{}); err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), dir) {
			t.Errorf("got %v, want %q and the directory", err, why)
		}
	}
}

// The copy decides as the original did, wherever that is by then.
func TestLastGoodDecidesAsBefore(t *testing.T) {
	state, revision := saved(t, map[string]string{
		"deep/site.rego":     siteRule,
		"data/settings.yaml": "settings: {mine: [a]}\n",
	}, map[string]any{"start_states": []any{"running", "starting"}})
	copied, err := ReadLastGood(state)
	if err != nil {
		t.Fatal(err)
	}
	e, err := copied.Load(BuiltIn(), Options{Schema: []byte(schema)})
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

func TestLoadOrFallBackTakesTheLastGoodCopy(t *testing.T) {
	state, _ := saved(t, map[string]string{"site.rego": siteRule}, nil)
	broken := directory(writeFiles(t, map[string]string{"site.rego": "package reconcile.rules.site\n\nhold contains {"}))
	read := func() (*LastGood, error) { return ReadLastGood(state) }
	e, err := LoadOrFallBack(broken, Options{}, read)
	if err != nil {
		t.Fatal(err)
	}
	s := e.Status()
	if !s.Fallback || !strings.Contains(s.Source, "last good copy") || len(s.Errors) == 0 || !strings.Contains(s.Errors[0], "site.rego:3:") {
		t.Errorf("status %+v, want the copy and the mistake", s)
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
	e, err = LoadOrFallBack(broken, Options{}, read)
	if err != nil {
		t.Fatal(err)
	}
	if s := e.Status(); s.Source != "built-in" || !strings.Contains(strings.Join(s.Errors, "\n"), "the last good copy of the rules") {
		t.Errorf("status %+v, want the built-in rules and both mistakes", s)
	}
}

func TestLastGoodIsRefused(t *testing.T) {
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
		{"another owner", change(func(_, file string) error { return os.Chown(file, 10000, 10000) }), "belongs to another user"},
		{"another owner of the directory", change(func(state, _ string) error { return os.Chown(state, 10000, 10000) }), "belongs to another user"},
		{"a link", change(func(_, file string) error {
			return errors.Join(os.Rename(file, file+".x"), os.Symlink(file+".x", file))
		}), "symbolic links"},
		{"a FIFO", change(func(_, file string) error { return errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o644)) }), "no regular file"},
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
			if _, err := ReadLastGood(state); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// An equal copy is left alone, a changed policy replaces it, and one without
// anything of an operator's removes it.
func TestSaveFollowsThePolicy(t *testing.T) {
	state := filepath.Join(t.TempDir(), "a", "state")
	save := func(layers []Layer) time.Time {
		t.Helper()
		e, err := Load(layers, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Save(state, time.Now()); err != nil {
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
	copied, err := ReadLastGood(state)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := Load(one, Options{}); err != nil || copied.Revision == other.Status().Revision {
		t.Errorf("the copy is still of the first policy (%v)", err)
	}
	if entries, _ := os.ReadDir(state); len(entries) != 1 {
		t.Errorf("%d entries in the state directory, want the copy alone", len(entries))
	}
	if at := save([]Layer{BuiltIn()}); !at.IsZero() {
		t.Error("the copy is there though the operator has taken the rules away")
	}
	if _, err := ReadLastGood(state); !errors.Is(err, ErrNoLastGood) {
		t.Errorf("got %v, want ErrNoLastGood", err)
	}
}

func TestEnforceWarn(t *testing.T) {
	rule := "# METADATA\n# custom:\n#   enforce: %\n" + siteRule
	for _, test := range []struct {
		why      string
		rule     string
		settings map[string]any
		tried    bool
	}{
		{"no word", siteRule, nil, false},
		{"METADATA: warn", strings.ReplaceAll(rule, "%", "warn"), nil, true},
		{"METADATA: enforce", strings.ReplaceAll(rule, "%", "enforce"), nil, false},
		{"settings", siteRule, map[string]any{"warn_rules": []any{"site"}}, true},
	} {
		got := evaluate(t, map[string]string{"site.rego": test.rule}, Options{Settings: test.settings}, policy.StageRules, input(running))
		for _, c := range got.Contributions {
			if c.Rule == "reconcile.rules.site" && c.Counts() == test.tried {
				t.Errorf("%s: %+v", test.why, c)
			}
		}
	}
	_, err := load(map[string]string{"site.rego": strings.ReplaceAll(rule, "%", "warm")})
	if err == nil || !strings.Contains(err.Error(), `/etc/policy/site.rego:1:1: custom.enforce is "warm", have enforce, warn`) {
		t.Errorf("got %v", err)
	}
	broken := "package reconcile.rules.site\n\nhold contains {\"profile\": \"coder\"} if input.phase == \"boot\"\n"
	got := evaluate(t, map[string]string{"site.rego": broken}, Options{Settings: map[string]any{"warn_rules": []any{"site"}}}, policy.StageRules, input(running))
	if len(got.Failures) != 1 || !got.Failures[0].NotEnforced {
		t.Errorf("failures %+v, want one that does not count", got.Failures)
	}
}

// A rule that builds a huge value is stopped, and the rules beside it count.
func TestMemoryCeiling(t *testing.T) {
	e, err := Load(operator(map[string]string{
		"site.rego": `package reconcile.rules.greedy

hold contains {"profile": name, "reason": "x"} if {
	some name, _ in input.profiles
	huge := [[a, b, c] | some a in numbers.range(1, 400); some b in numbers.range(1, 400); some c in numbers.range(1, 400)]
	count(huge) == 1
}
`,
	}), Options{Memory: 32 << 20, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	got := e.Evaluate(t.Context(), policy.StageRules, input(running))
	if len(got.Failures) != 1 || !strings.Contains(got.Failures[0].Error, "needs more than 32 MiB of memory") || got.Failures[0].Rule != "reconcile.rules.greedy" {
		t.Fatalf("failures %+v, want one of the greedy rule that says so", got.Failures)
	}
	if len(got.Contributions) != 1 || got.Contributions[0].Rule != "reconcile.rules.prior_intent" {
		t.Errorf("contributions %+v, want that of prior_intent", got.Contributions)
	}
}
