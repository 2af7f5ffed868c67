package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hermes-reconcile/rego/example"
	"hermes-reconcile/rego/workbench"
)

// The situations on which rules are tried are possible ones, and the examples that
// tests build on name every fact.
func TestExampleSituationsFitTheFacts(t *testing.T) {
	text, err := inputSchema()
	if err != nil {
		t.Fatal(err)
	}
	schema := compileSchema(t, text)
	for _, s := range example.Situations() {
		document, err := json.Marshal(s.Input)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(s.Name, func(t *testing.T) { fits(t, schema, document) })
	}
	var known struct {
		Properties struct {
			Container struct{ Properties map[string]any }
			Profiles  struct {
				AdditionalProperties struct{ Properties map[string]any }
			}
		}
	}
	if err := json.Unmarshal(text, &known); err != nil {
		t.Fatal(err)
	}
	for _, s := range example.Situations()[:2] {
		for fact := range known.Properties.Container.Properties {
			if _, ok := s.Input.Container[fact]; !ok {
				t.Errorf("%s has no fact %s of the container: add it in rego/example/situations", s.Name, fact)
			}
		}
		for name, facts := range s.Input.Profiles {
			for fact := range known.Properties.Profiles.AdditionalProperties.Properties {
				if _, ok := facts[fact]; !ok {
					t.Errorf("%s has no fact %s of the profile %s: add it in rego/example/situations", s.Name, fact, name)
				}
			}
		}
	}
}

// The directory that init makes is a usual directory of OPA: its own commands
// work on it unchanged.
func TestInitMakesADirectoryForOPA(t *testing.T) {
	opa := realOPA(t)
	dir := initDirectory(t)
	for _, args := range [][]string{
		{"test", "."},
		{"test", ".", "data"},
		{"check", "--strict", "--schema", "schemas/input/schema.json", "."},
		{"fmt", "--fail", "--list", "."},
	} {
		if out, err := runOPA(t, opa, dir, args...); err != nil {
			t.Errorf("opa %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	out, err := runOPA(t, opa, dir, "eval", "--format", "raw", "--data", ".", "--data", "data", "data.settings.quiet_nights_from")
	if err != nil || strings.TrimSpace(out) != "22" {
		t.Errorf("data.settings.quiet_nights_from is %q (%v), want 22", out, err)
	}
}

// Every recipe that add copies can be used, as it comes.
func TestAddedRecipesAreChecked(t *testing.T) {
	dir := initDirectory(t)
	for _, r := range workbench.Recipes() {
		if out, code := runCommand(t, "policy", "add", r.Name, dir); code != exitDone {
			t.Fatalf("policy add %s: %s", r.Name, out)
		}
	}
	for _, args := range [][]string{{"policy", "check", "--strict", dir}, {"policy", "test", dir}, {"policy", "fmt", "--fail", dir}} {
		if out, code := runCommand(t, args...); code != exitDone {
			t.Errorf("%s: exit status %d\n%s", strings.Join(args, " "), code, out)
		}
	}
}

// A FIFO, a broken link, a link to itself and a file without end in the directory
// keep nobody waiting.
func TestCheckPassesByWhatIsNoFile(t *testing.T) {
	dir := initDirectory(t)
	if out, err := exec.Command("mkfifo", filepath.Join(dir, "pipe.rego")).CombinedOutput(); err != nil {
		t.Skipf("no FIFO can be made here: %v: %s", err, out)
	}
	for name, target := range map[string]string{"gone.yaml": "nowhere", "endless.rego": "/dev/zero"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range []string{"check", "test", "fmt"} {
		out, _ := runCommand(t, "policy", command, dir)
		if command == "check" && !strings.Contains(out, "pipe.rego") {
			t.Errorf("policy check does not name pipe.rego:\n%s", out)
		}
	}
}

// A directory may be reached through links, as a mounted ConfigMap is.
func TestAuthorCommandsFollowTheLinksOfAConfigMap(t *testing.T) {
	files := initDirectory(t)
	mount := filepath.Join(t.TempDir(), "mount")
	for _, dir := range []string{"..2026_11_22", "data"} {
		if err := os.MkdirAll(filepath.Join(mount, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(mount, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"quiet_nights.rego", "quiet_nights_test.rego"} {
		text, err := os.ReadFile(filepath.Join(files, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(mount, "..2026_11_22", name), text, 0o644); err != nil {
			t.Fatal(err)
		}
		link("..data/"+name, name)
	}
	link("..2026_11_22", "..data")
	link(filepath.Join(files, "data", "settings.yaml"), "data/settings.yaml")
	policy := filepath.Join(t.TempDir(), "policy")
	if err := os.Symlink(mount, policy); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "test"} {
		out, code := runCommand(t, "policy", command, policy)
		if code != exitDone || strings.Contains(out, "0 rule files") || strings.Contains(out, "0 passed") || strings.Contains(out, "warning:") {
			t.Errorf("policy %s: exit status %d\n%s", command, code, out)
		}
	}
}

func initDirectory(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "rules")
	if out, code := runCommand(t, "policy", "init", dir); code != exitDone {
		t.Fatalf("policy init: exit status %d\n%s", code, out)
	}
	return dir
}

// runCommand runs a command without a home.
func runCommand(t *testing.T, args ...string) (output string, code int) {
	t.Helper()
	t.Setenv("HERMES_HOME", filepath.Join(t.TempDir(), "nowhere"))
	var out bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &out)
	return out.String(), code
}

func runOPA(t *testing.T, opa, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), opa, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// realOPA returns the program of the version that is compiled in. It is built once
// into the user's cache.
func realOPA(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("the opa program: no cache to build it into: %v", err)
	}
	version := opaVersion(t)
	dir := filepath.Join(cache, "hermes-reconcile", "opa-"+version)
	opa := filepath.Join(dir, "opa")
	if _, err := os.Stat(opa); err == nil {
		return opa
	} else if !os.IsNotExist(err) {
		t.Skipf("the opa program: %v", err)
	}
	if testing.Short() {
		t.Skip("the opa program: building it takes minutes, and the tests shall be short")
	}
	build := exec.CommandContext(context.WithoutCancel(t.Context()), "go", "install", "github.com/open-policy-agent/opa@"+version)
	build.Dir = t.TempDir()
	build.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=-trimpath")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("the opa program cannot be had here: %v\n%s", err, out)
	}
	return opa
}

// opaVersion is the version of the module that is compiled in.
func opaVersion(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "github.com/open-policy-agent/opa").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.TrimSpace(string(out))
}
