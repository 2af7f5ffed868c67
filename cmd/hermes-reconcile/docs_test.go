package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

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
	got := output(t, "eval", "--dry-run", "--home", dir+"/home", "--scandir", dir+"/scan", "--policy", dir+"/policy")
	if string(got) != plan[1] {
		t.Errorf("the README's policy makes\n%s\nand the README says\n%s", got, plan[1])
	}
}

// Every key of the configuration, and every set, is documented.
func TestDocumentsAreComplete(t *testing.T) {
	operations := readDoc(t, "docs/operations.md")
	for _, key := range keys() {
		if !strings.Contains(operations, "`"+key+"`") {
			t.Errorf("docs/operations.md does not say what %s is", key)
		}
	}
	rules := readDoc(t, "docs/rules.md")
	for _, set := range policy.Sets {
		if !strings.Contains(rules, "| `"+string(set)+"` |") {
			t.Errorf("docs/rules.md does not say what the set %s is", set)
		}
	}
}

// No document points to a page that is not there.
func TestLinksOfTheDocuments(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), link[1])); err != nil {
				t.Errorf("%s points to %s, which is not there", page, link[1])
			}
		}
	}
}
