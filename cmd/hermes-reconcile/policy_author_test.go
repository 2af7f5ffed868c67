package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/loader"
	opa "github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/tester"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/example"
	"hermes-reconcile/rego/workbench"
)

// The example situations satisfy the schema of the input, and together they contain every
// fact.
func TestExampleSituationsFitTheFacts(t *testing.T) {
	text := policy.InputSchema
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

// policy init makes an ordinary OPA directory: OPA's own loader, tester, compiler and
// formatter accept the directory unchanged.
func TestInitMakesADirectoryForOPA(t *testing.T) {
	dir := initDirectory(t)
	data := filepath.Join(dir, "data")
	opaTests(t, dir)
	opaTests(t, dir, data)

	schemas, err := loader.Schemas(filepath.Join(dir, "schemas", "input", "schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := loader.NewFileLoader().WithProcessAnnotation(true).Filtered([]string{dir}, func(path string, info os.FileInfo, _ int) bool {
		return !info.IsDir() && filepath.Ext(path) != ".rego"
	})
	if err != nil {
		t.Fatal(err)
	}
	compiler := ast.NewCompiler().WithSchemas(schemas).WithStrict(true).WithUseTypeCheckAnnotations(true)
	if compiler.Compile(rules.ParsedModules()); compiler.Failed() || len(rules.Modules) == 0 {
		t.Errorf("strict check of %d files: %v", len(rules.Modules), compiler.Errors)
	}
	modules := rules.ParsedModules()
	modules["typo.rego"] = ast.MustParseModule("package reconcile.rules.typo\n\nhold contains name if {\n\tsome name, profile in input.profiles\n\tprofile.prior_sate.desired\n}\n")
	compiler = ast.NewCompiler().WithSchemas(schemas)
	if compiler.Compile(modules); len(compiler.Errors) != 1 || !strings.Contains(compiler.Errors.Error(), "undefined ref: profile.prior_sate") {
		t.Errorf("a misspelt fact below a profile: %v", compiler.Errors)
	}
	for name, rule := range rules.Modules {
		if formatted, err := format.Source(name, rule.Raw); err != nil || !bytes.Equal(formatted, rule.Raw) {
			t.Errorf("%s is not formatted: %v\n%s", name, err, formatted)
		}
	}
	result, err := opa.New(opa.Load([]string{dir, data}, nil), opa.Query("data.settings.quiet_nights_from")).Eval(t.Context())
	if err != nil || len(result) != 1 || fmt.Sprint(result[0].Expressions[0].Value) != "22" {
		t.Errorf("data.settings.quiet_nights_from is %v (%v), want 22", result, err)
	}
}

// opaTests runs the tests of directories as "opa test" does.
func opaTests(t *testing.T, dirs ...string) {
	t.Helper()
	modules, store, err := tester.Load(dirs, nil)
	if err != nil {
		t.Fatalf("opa test %v: %v", dirs, err)
	}
	txn, err := store.NewTransaction(t.Context(), storage.WriteParams)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Abort(t.Context(), txn)
	compiler := ast.NewCompiler().WithPathConflictsCheck(storage.NonEmpty(t.Context(), store, txn)).WithEnablePrintStatements(true)
	results, err := tester.NewRunner().SetCompiler(compiler).SetStore(store).SetModules(modules).RunTests(t.Context(), txn)
	if err != nil {
		t.Fatalf("opa test %v: %v", dirs, err)
	}
	passed := 0
	for r := range results {
		if !r.Pass() {
			t.Errorf("opa test %v: %s", dirs, r)
		}
		passed++
	}
	if passed == 0 {
		t.Errorf("opa test %v ran no tests", dirs)
	}
}

// opaProgram is the variable with the path of the program opa.
const opaProgram = "OPA_PROGRAM"

// The commands of OPA work on the directory that policy init creates. Building the program
// opa takes a minute, so only fixtures/test.sh full does it.
func TestInitMakesADirectoryForTheOPAProgram(t *testing.T) {
	run := opaCommands(t)
	t.Chdir(initDirectory(t))
	for _, args := range [][]string{
		{"test", "."},
		{"test", ".", "data"},
		{"check", "--strict", "--schema", "schemas/input/schema.json", "."},
		{"fmt", "--fail", "--list", "."},
	} {
		if out, err := run(args...); err != nil {
			t.Errorf("opa %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	out, err := run("eval", "--format", "raw", "--data", ".", "--data", "data", "data.settings.quiet_nights_from")
	if err != nil || strings.TrimSpace(out) != "22" {
		t.Errorf("data.settings.quiet_nights_from is %q (%v), want 22", out, err)
	}
}

// policy check accepts every recipe as policy add copies it.
func TestAddedRecipesAreChecked(t *testing.T) {
	dir := initDirectory(t)
	for _, r := range workbench.Recipes() {
		if out, code := runCommand(t, "policy", "add", r.Name, dir); code != cli.ExitDone {
			t.Fatalf("policy add %s: %s", r.Name, out)
		}
	}
	for _, args := range [][]string{{"policy", "check", "--strict", dir}, {"policy", "test", dir}, {"policy", "fmt", "--fail", dir}} {
		if out, code := runCommand(t, args...); code != cli.ExitDone {
			t.Errorf("%s: exit status %d\n%s", strings.Join(args, " "), code, out)
		}
	}
}

// A FIFO, a broken link, a link to itself and an endless file in the directory do not block
// policy check.
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

// A directory of rules may consist of links, as in a mounted ConfigMap.
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
		if code != cli.ExitDone || strings.Contains(out, "0 rule files") || strings.Contains(out, "0 passed") || strings.Contains(out, "warning:") {
			t.Errorf("policy %s: exit status %d\n%s", command, code, out)
		}
	}
}

func initDirectory(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "rules")
	if out, code := runCommand(t, "policy", "init", dir); code != cli.ExitDone {
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
