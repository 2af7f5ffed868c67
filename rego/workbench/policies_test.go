package workbench

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"

	"hermes-reconcile/rego"
)

// regoFiles parses every Rego file of the layer, tests included.
func regoFiles(t *testing.T, layer rego.Layer) (modules map[string]*ast.Module, texts map[string][]byte) {
	t.Helper()
	modules, texts = map[string]*ast.Module{}, map[string][]byte{}
	err := fs.WalkDir(layer.Files, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".rego") {
			return err
		}
		text, err := fs.ReadFile(layer.Files, name)
		if err != nil {
			return err
		}
		module, err := ast.ParseModuleWithOpts(name, string(text), ast.ParserOptions{ProcessAnnotation: true})
		if err != nil {
			return err
		}
		modules[name], texts[name] = module, text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return modules, texts
}

// The Rego tests beside the policies.
func TestPolicies(t *testing.T) {
	t.Parallel()
	modules, _ := regoFiles(t, rego.BuiltIn())
	settings, err := rego.ReadSettings(rego.BuiltIn())
	if err != nil {
		t.Fatal(err)
	}
	runRegoTests(t, modules, settings)
}

// runRegoTests runs the tests among the modules, with the settings that they have
// in common. Every package has some.
func runRegoTests(t *testing.T, modules map[string]*ast.Module, settings map[string]any) {
	t.Helper()
	store := inmem.NewFromObject(map[string]any{"settings": settings})
	txn, err := store.NewTransaction(t.Context(), storage.WriteParams)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Abort(t.Context(), txn)
	results, err := tester.NewRunner().
		SetStore(store).
		SetModules(modules).
		CapturePrintOutput(true).
		RaiseBuiltinErrors(true).
		SetTimeout(time.Minute). // the race detector makes all slow
		RunTests(t.Context(), txn)
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]bool{}
	for r := range results {
		packages[r.Package] = true
		if !r.Pass() {
			t.Errorf("%s: %s.%s failed: %v %s", r.Location, r.Package, r.Name, r.Error, r.Output)
		}
	}
	for name, module := range modules {
		if !strings.HasSuffix(name, "_test.rego") && !packages[module.Package.Path.String()+"_test"] {
			t.Errorf("%s has no Rego test that ran", name)
		}
	}
}

// What `opa fmt` would change is a finding; so is a package without a title.
func TestPoliciesAreFormattedAndTitled(t *testing.T) {
	t.Parallel()
	modules, texts := regoFiles(t, rego.BuiltIn())
	checkStyle(t, modules, texts)
}

func checkStyle(t *testing.T, modules map[string]*ast.Module, texts map[string][]byte) {
	t.Helper()
	for name, text := range texts {
		formatted, err := format.SourceWithOpts(name, text, format.Opts{RegoVersion: ast.RegoV1})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if string(formatted) != string(text) {
			t.Errorf("%s is not formatted, want:\n%s", name, formatted)
		}
		if strings.HasSuffix(name, "_test.rego") {
			continue
		}
		if a := modules[name].Annotations; len(a) == 0 || a[0].Title == "" || a[0].Scope != "package" {
			t.Errorf("%s has no package METADATA with a title", name)
		}
	}
}
