package main

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport lists which packages of this module a package may import.
var mayImport = map[string][]string{
	"policy":                 {},
	"policy/suggest":         {},
	"policy/trust":           {"policy"},
	"policy/beneath":         {"policy"},
	"policy/wait":            {},
	"policy/yamlerror":       {},
	"engine":                 {"policy", "policy/suggest", "engine/facts/fact"},
	"engine/child":           {},
	"engine/facts":           {"policy", "engine/facts/fact", "engine/facts/read", "engine/ledger"},
	"engine/facts/container": {"policy", "policy/trust", "engine/facts/fact", "engine/facts/read"},
	"engine/facts/fact":      {"policy"},
	"engine/facts/facttest":  {"policy", "engine/facts/fact"},
	"engine/facts/read":      {"policy", "policy/trust"},
	"engine/facts/plugins":   {"policy", "policy/trust", "engine/facts/fact", "engine/facts/read"},
	"engine/gatewaylog":      {"policy", "engine/ledger"},
	"engine/decisionlog":     {"policy", "policy/trust", "engine/ledger", "engine/watch"},
	"engine/hometest":        {},
	"engine/ledger":          {"policy"},
	"engine/volume":          {"policy", "policy/beneath"},
	"engine/volume/remote":   {"policy", "engine", "engine/child", "engine/facts", "engine/facts/fact", "engine/gatewaylog", "engine/memory", "engine/notify", "engine/volume", "engine/ledger", "policy/trust"},
	"engine/reconcile":       {"policy", "policy/wait", "engine", "engine/facts/fact", "engine/ledger"},
	"engine/memory":          {},
	"engine/notify":          {},
	"engine/watch":           {"policy", "policy/trust", "policy/wait", "engine", "engine/ledger", "engine/memory", "engine/reconcile"},
	"engine/explain":         {"policy", "engine", "engine/ledger"},
	"engine/status":          {"policy", "engine", "engine/decisionlog", "engine/watch"},
	"engine/timeline":        {"policy", "engine/ledger", "engine/status"},
	"rego":                   {"policy", "policy/suggest", "policy/trust", "policy/yamlerror", "rego/recipes"},
	"rego/bundle":            {"policy", "policy/trust", "rego"},
	"rego/fetch":             {"policy", "policy/trust"},
	"rego/process":           {"policy", "engine", "engine/child", "rego", "rego/bundle"},
	"rego/example":           {"policy", "rego"},
	"rego/publish":           {"policy", "policy/trust", "rego"},
	"rego/recipes":           {},
	"rego/check":             {"policy", "policy/suggest", "rego", "rego/example"},
	"rego/workbench":         {"policy", "policy/suggest", "policy/trust", "rego", "rego/example", "rego/recipes"},
	"s6":                     {"policy", "policy/trust", "policy/beneath", "policy/wait", "s6/deaths", "s6/progress", "s6/scandir", "s6/scripts", "s6/supervise"},
	"s6/deaths":              {"policy", "policy/beneath", "s6/scripts", "s6/supervise"},
	"s6/progress":            {"s6/supervise"},
	"s6/scandir":             {"policy", "policy/beneath", "s6/scripts", "s6/supervise"},
	"s6/scripts":             {"policy", "policy/trust", "policy/beneath", "s6/supervise"},
	"s6/supervise":           {"policy", "policy/beneath"},
	"s6/s6test":              {},

	"cmd/hermes-reconcile/config":  {"policy", "policy/suggest", "policy/trust", "rego/fetch", "policy/yamlerror"},
	"cmd/hermes-reconcile/metrics": {"policy", "policy/trust", "engine/status"},
	"cmd/hermes-reconcile/schemas": {"policy", "policy/suggest"},
	"cmd/hermes-reconcile/view":    {"cmd/hermes-reconcile/config", "cmd/hermes-reconcile/schemas", "policy", "engine/explain", "engine/gatewaylog", "engine/ledger", "engine/reconcile", "engine/status", "engine/watch", "rego", "rego/bundle", "rego/check", "rego/workbench"},
	"cmd/hermes-reconcile/top":     {"policy", "engine/status", "cmd/hermes-reconcile/view"},
	"cmd/hermes-reconcile/view/page": {
		"policy", "engine/explain", "engine/ledger", "engine/status", "engine/timeline", "rego/workbench", "cmd/hermes-reconcile/config", "cmd/hermes-reconcile/view",
	},
	"cmd/hermes-reconcile/inspect": {
		"policy", "policy/trust", "engine", "engine/facts/read", "engine/ledger", "engine/status", "engine/watch", "rego/bundle", "s6/scripts",
		"cmd/hermes-reconcile/config", "cmd/hermes-reconcile/view",
	},
	"cmd/hermes-reconcile/world": {
		"policy", "policy/trust", "engine", "engine/facts/container", "engine/facts/fact", "engine/facts/plugins", "engine/decisionlog", "engine/ledger", "engine/reconcile", "engine/volume", "engine/volume/remote", "rego", "rego/bundle", "rego/fetch", "rego/process", "s6", "s6/scandir", "s6/scripts",
		"cmd/hermes-reconcile/config", "cmd/hermes-reconcile/inspect", "cmd/hermes-reconcile/view",
	},
	"cmd/hermes-reconcile/service": {
		"policy", "policy/trust", "engine", "engine/decisionlog", "engine/notify", "engine/reconcile", "engine/status", "engine/volume/remote", "engine/watch", "rego/bundle", "rego/process", "s6/scandir",
		"cmd/hermes-reconcile/config", "cmd/hermes-reconcile/inspect", "cmd/hermes-reconcile/metrics", "cmd/hermes-reconcile/view/page", "cmd/hermes-reconcile/world",
	},
	"cmd/hermes-reconcile/terminal": {"policy", "policy/wait", "cmd/hermes-reconcile/config"},
	"cmd/hermes-reconcile/cli": {
		"policy", "policy/suggest", "engine", "engine/reconcile", "rego",
		"cmd/hermes-reconcile/config", "cmd/hermes-reconcile/terminal", "cmd/hermes-reconcile/view", "cmd/hermes-reconcile/world",
	},
	"cmd/hermes-reconcile/author": {
		"policy", "policy/trust", "policy/wait", "engine", "engine/reconcile", "engine/watch", "rego", "rego/bundle", "rego/check", "rego/example", "rego/publish", "rego/workbench",
		"cmd/hermes-reconcile/cli", "cmd/hermes-reconcile/config", "cmd/hermes-reconcile/schemas", "cmd/hermes-reconcile/view", "cmd/hermes-reconcile/world",
	},
	"cmd/hermes-reconcile": {
		"policy", "policy/suggest", "policy/wait", "engine", "engine/facts/read", "engine/gatewaylog", "engine/volume/remote", "engine/ledger", "engine/decisionlog", "engine/reconcile", "engine/explain", "engine/status", "engine/timeline",
		"engine/watch", "rego", "rego/bundle", "rego/process", "rego/workbench", "s6", "s6/deaths", "s6/scripts",
		"cmd/hermes-reconcile/author", "cmd/hermes-reconcile/cli", "cmd/hermes-reconcile/config", "cmd/hermes-reconcile/inspect", "cmd/hermes-reconcile/metrics", "cmd/hermes-reconcile/service", "cmd/hermes-reconcile/terminal", "cmd/hermes-reconcile/top", "cmd/hermes-reconcile/view", "cmd/hermes-reconcile/view/page", "cmd/hermes-reconcile/world",
	},
}

// testsMayImport lists the additional imports of tests.
var testsMayImport = map[string][]string{
	"policy": {"engine/hometest"}, "engine": {"engine/volume"}, "engine/facts": {"engine/volume", "engine/hometest", "engine/facts/facttest"}, "engine/facts/container": {"engine/hometest", "engine/facts/facttest"}, "engine/facts/plugins": {"engine/hometest", "engine/facts/facttest"}, "engine/gatewaylog": {"engine/volume", "engine/hometest"}, "engine/ledger": {"engine/volume", "engine/hometest"},
	"cmd/hermes-reconcile/metrics": {"engine/watch"}, "engine/facts/read": {"engine/hometest"}, "engine/volume": {"engine/hometest"}, "engine/volume/remote": {"engine/hometest"}, "rego": {"rego/recipes"}, "rego/workbench": {"rego/check"}, "s6": {"s6/s6test"}, "s6/deaths": {"s6/s6test"}, "s6/scripts": {"s6/s6test"}, "s6/supervise": {"s6/s6test"},
	"cmd/hermes-reconcile": {"policy/trust", "engine/facts/fact", "rego/check", "rego/example", "cmd/hermes-reconcile/schemas", "s6/s6test", "engine/hometest"}, "cmd/hermes-reconcile/service": {"engine/facts/container", "engine/hometest", "rego/fetch", "s6/s6test"}, "cmd/hermes-reconcile/view": {"engine/hometest", "engine/volume"}, "cmd/hermes-reconcile/top": {"engine/hometest"}, "cmd/hermes-reconcile/inspect": {"s6/s6test"},
}

// onlyIn maps a module to the only package that may import it, along with the packages
// below that package.
var onlyIn = map[string]string{
	"github.com/open-policy-agent/opa": "rego",
	"github.com/go-viper/mapstructure": "cmd/hermes-reconcile/config",
	"github.com/spf13/cobra":           "cmd/hermes-reconcile",
	"github.com/fsnotify/fsnotify":     "engine/notify",
	"github.com/prometheus":            "cmd/hermes-reconcile/metrics",
	"github.com/jedib0t/go-pretty":     "cmd/hermes-reconcile/view",
	"charm.land/bubbletea":             "cmd/hermes-reconcile/top",
}

func TestWhoImportsWhom(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "hermes-reconcile/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen, used := 0, map[string]bool{}
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
				used[module] = used[module] || strings.HasPrefix(path, module)
				if strings.HasPrefix(path, module) && name != owner && !strings.HasPrefix(name, owner+"/") {
					t.Errorf("%s imports %s, which only %s and the packages below it may", name, path, owner)
				}
			}
			if name == "policy" && strings.Contains(strings.SplitN(path, "/", 2)[0], ".") {
				t.Errorf("policy imports %s, want the standard library alone", path)
			}
		}
	}
	for module := range onlyIn {
		if !used[module] {
			t.Errorf("no package imports %s: either the table or the module is wrong", module)
		}
	}
	if seen != len(mayImport) {
		t.Errorf("%d packages, want %d", seen, len(mayImport))
	}
}
