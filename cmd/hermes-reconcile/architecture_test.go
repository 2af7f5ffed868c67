package main

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport is the house: which package of this module may import which, and the
// outside thing that only one of them may know.
var mayImport = map[string][]string{
	"policy":               {},
	"engine":               {"policy"},
	"engine/facts":         {"policy"},
	"engine/volume":        {"policy"},
	"rego":                 {"policy"},
	"s6":                   {"policy"},
	"cmd/hermes-reconcile": {"policy", "engine", "engine/facts", "engine/volume", "engine/ledger", "engine/volume/remote", "rego", "s6"},

	"engine/ledger":        {"policy"},
	"engine/volume/remote": {"policy", "engine", "engine/facts", "engine/volume", "engine/ledger"},
}

// testsMayImport is what tests need beyond that: sources and their collection are
// tested over a real directory.
var testsMayImport = map[string][]string{"engine": {"engine/volume"}, "engine/facts": {"engine/volume"}}

// onlyIn says which modules are known by one package alone.
var onlyIn = map[string]string{
	"github.com/open-policy-agent/opa": "rego",
	"github.com/knadh/koanf":           "cmd/hermes-reconcile",
	"github.com/spf13/cobra":           "cmd/hermes-reconcile",
}

func TestWhoImportsWhom(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "hermes-reconcile/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var p struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, "hermes-reconcile/")
		if strings.HasPrefix(name, "fixtures/") {
			continue
		}
		seen++
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("package %s has no place in the architecture: give it one here and in docs/architecture.md", name)
		}
		check := func(imports, allowed []string) {
			for _, path := range imports {
				own, inModule := strings.CutPrefix(path, "hermes-reconcile/")
				if inModule && own != name && !slices.Contains(allowed, own) {
					t.Errorf("%s imports %s, may import %v", name, own, allowed)
				}
			}
		}
		check(p.Imports, allowed)
		check(slices.Concat(p.TestImports, p.XTestImports), slices.Concat(allowed, testsMayImport[name]))
		for _, path := range p.Imports {
			for module, owner := range onlyIn {
				if strings.HasPrefix(path, module) && name != owner {
					t.Errorf("%s imports %s, which only %s knows", name, path, owner)
				}
			}
			if name == "policy" && strings.Contains(strings.SplitN(path, "/", 2)[0], ".") {
				t.Errorf("policy imports %s, want the standard library alone", path)
			}
		}
	}
	if seen != len(mayImport) {
		t.Errorf("%d packages, want %d", seen, len(mayImport))
	}
}
