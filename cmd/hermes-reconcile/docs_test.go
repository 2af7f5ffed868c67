package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/policy"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The README's policy makes the README's plan.
func TestREADME(t *testing.T) {
	readme := readDoc(t, "README.md")
	rule := regexp.MustCompile("(?s)```rego\n(.*?)```").FindStringSubmatch(readme)
	plan := regexp.MustCompile(`(?s)\$ hermes-reconcile eval --dry-run --policy ./policy\n(.*?)` + "```").FindStringSubmatch(readme)
	if rule == nil || plan == nil {
		t.Fatal("the README has no policy, or no plan")
	}
	dir := t.TempDir()
	files := map[string]string{
		"policy/scratch.rego":                        rule[1],
		"home/profiles/coder/SOUL.md":                "",
		"home/profiles/coder/gateway_state.json":     `{"desired_state": "running"}`,
		"home/profiles/scratch-1/SOUL.md":            "",
		"home/profiles/scratch-1/gateway_state.json": `{"desired_state": "running"}`,
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HERMES_RECONCILE_USER", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()))
	t.Setenv("HERMES_RECONCILE_S6__OWNERSHIP", "upstream") // root as the user is an alarm else
	got := output(t, "eval", "--dry-run", "--home", dir+"/home", "--scandir", dir+"/scan", "--policy", dir+"/policy")
	if string(got) != plan[1] {
		t.Errorf("the README's policy makes\n%s\nand the README shows\n%s", got, plan[1])
	}
}

// Every key of the configuration, and every set, is documented.
func TestDocumentsAreComplete(t *testing.T) {
	configuration := readDoc(t, "docs/configuration.md") + readDoc(t, "docs/decision-log.md")
	for _, key := range config.Keys() {
		if !strings.Contains(configuration, "| `"+key+"` |") {
			t.Errorf("no page explains the key %s", key)
		}
	}
	rules := readDoc(t, "docs/rules.md")
	for _, set := range policy.Sets {
		if !strings.Contains(rules, "| `"+string(set)+"` |") {
			t.Errorf("docs/rules.md does not explain the set %s", set)
		}
	}
}

// Every link of a document leads to an existing file.
func TestLinksOfTheDocuments(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	others, err := filepath.Glob("../../*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, others...) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), link[1])); err != nil {
				t.Errorf("%s points to %s, which does not exist", page, link[1])
			}
		}
	}
}

// README lists every page, and a page is short enough to read.
func TestPages(t *testing.T) {
	const most = 250
	generated := []string{"input.md", "recipes.md", "decision.md", "commands.md"}
	readme := readDoc(t, "README.md")
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		name := filepath.Base(page)
		if !strings.Contains(readme, "](docs/"+name+")") {
			t.Errorf("README does not list docs/%s", name)
		}
		if lines := strings.Count(readDoc(t, "docs/"+name), "\n"); lines > most && !slices.Contains(generated, name) {
			t.Errorf("docs/%s has %d lines, want at most %d: split it by the reader's task", name, lines, most)
		}
	}
}
