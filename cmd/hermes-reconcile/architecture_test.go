package main

import (
	"encoding/json"
	"os"
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
	"cmd/hermes-reconcile": {"policy", "engine", "engine/facts", "engine/volume", "rego", "s6", "cmd/hermes-reconcile/ledger", "cmd/hermes-reconcile/side"},

	"cmd/hermes-reconcile/launch": {},
	"cmd/hermes-reconcile/ledger": {"policy"},
	"cmd/hermes-reconcile/side":   {"policy", "engine", "engine/facts", "engine/volume", "cmd/hermes-reconcile/launch", "cmd/hermes-reconcile/ledger"},
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

// The child for the volume serves before the policy engine is initialised, which would
// take it longer than its work, and is started before most of all that. It depends on
// what packages launch and side import.
func TestTheVolumesSideDoesNotWaitForThePolicyEngine(t *testing.T) {
	child := exec.Command("/proc/self/exe", "volume") // ends with its standard input
	child.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	at := func(name string) int { return strings.Index(string(out), "init "+name+" @") }
	for _, early := range []string{"hermes-reconcile/policy", "hermes-reconcile/cmd/hermes-reconcile/launch", "regexp"} {
		if at(early) < 0 {
			t.Errorf("%s is not initialised before package side is", early)
		}
	}
	for _, late := range []string{"github.com/open-policy-agent/opa/v1/ast", "github.com/open-policy-agent/opa/v1/topdown"} {
		if at(late) >= 0 {
			t.Errorf("%s is initialised before package side is", late)
		}
	}
	for _, late := range []string{"regexp", "encoding/json", "path/filepath"} {
		if at("hermes-reconcile/cmd/hermes-reconcile/launch") > at(late) {
			t.Errorf("%s is initialised before package launch is", late)
		}
	}
}
