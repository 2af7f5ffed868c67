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
	"hermes-reconcile/policy/trust"
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
	return []Layer{BuiltIn(), {Name: dir, Files: trust.Files(dir, trust.Anybody)}}
}

// A ConfigMap is mounted as links to files, and links to directories, behind a
// dotted link that changes.
func TestAMountedConfigMap(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	for why, make := range map[string]func(path string) error{
		"is not a regular file":    func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"no such file":             func(path string) error { return os.Symlink("nowhere", path) },
		"links that lead in a cir": func(path string) error { return os.Symlink(".", filepath.Join(filepath.Dir(path), "round")) },
		"want at most": func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, MaxFile+1))
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

func TestEnforceWarn(t *testing.T) {
	t.Parallel()
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
	skipUnderRace(t)
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
	got := deciding(e.Evaluate(t.Context(), policy.StageRules, input(running)))
	if len(got.Failures) != 1 || !strings.Contains(got.Failures[0].Error, "needs more than 32 MiB of memory") || got.Failures[0].Rule != "reconcile.rules.greedy" {
		t.Fatalf("failures %+v, want one of the greedy rule that says so", got.Failures)
	}
	if len(got.Contributions) != 1 || got.Contributions[0].Rule != "reconcile.rules.prior_intent" {
		t.Errorf("contributions %+v, want that of prior_intent", got.Contributions)
	}
}
