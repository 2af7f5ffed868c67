package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	godiff "github.com/google/go-cmp/cmp"

	"hermes-reconcile/policy"
)

// The table of docs/security.md is made from the schemas:
// `go test ./cmd/hermes-reconcile -run SecurityPage -update` writes it.
func TestSecurityPage(t *testing.T) {
	text := policy.InputSchema
	input := decodeSchema(t, text)
	want := "\n| fact | could have been written by | except |\n| --- | --- | --- |\n" +
		writersTable(t, "input.container", input.Properties["container"]) + writersTable(t, "input.profiles[p]", *input.Properties["profiles"].byName(t))
	page := readDoc(t, "docs/security.md")
	before, rest, ok := strings.Cut(page, "SecurityPage -update -->")
	have, after, closed := strings.Cut(rest, "<!-- end -->")
	if !ok || !closed {
		t.Fatal("docs/security.md has no place for the table")
	}
	if *update {
		page = before + "SecurityPage -update -->\n" + want + "\n<!-- end -->" + after
		if err := os.WriteFile("../../docs/security.md", []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := godiff.Diff(strings.TrimSpace(want), strings.TrimSpace(have)); diff != "" {
		t.Errorf("docs/security.md is stale, run: go test ./cmd/hermes-reconcile -run SecurityPage -update (-want +have)\n%s", diff)
	}
}

// writersTable names the possible writer of each fact, and the keys with another writer.
func writersTable(t *testing.T, path string, scope docSchema) string {
	t.Helper()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(scope.Properties)) {
		fact := scope.Properties[name]
		others := map[string][]string{}
		for _, row := range fact.rows(t, "") {
			isLeaf := len(row.schema.rows(t, "")) == 0 && !strings.HasSuffix(row.path, "[_]")
			if isLeaf && row.schema.WrittenBy != fact.WrittenBy && row.path != "error" {
				others[row.schema.WrittenBy] = append(others[row.schema.WrittenBy], row.path)
			}
		}
		var except []string
		for _, writer := range slices.Sorted(maps.Keys(others)) {
			except = append(except, codedWords(others[writer])+": "+writer)
		}
		fmt.Fprintf(&b, "| `%s.%s` | %s | %s |\n", path, name, fact.WrittenBy, strings.Join(except, "; "))
	}
	return b.String()
}

// The page names only tests and fixtures that exist.
func TestSecurityPageNamesTests(t *testing.T) {
	page := readDoc(t, "docs/security.md")
	sources := ""
	for _, pattern := range []string{"../../*/*_test.go", "../../*/*/*_test.go", "../../*/*/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources += string(text)
		}
	}
	names := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)(?:/([a-z-]+))?`|`(fixtures/[^`]+)`").FindAllStringSubmatch(page, -1)
	for _, name := range names {
		test, attack, fixture := name[1], name[2], name[3]
		found := strings.Contains(sources, "\nfunc "+test+"(")
		if attack != "" {
			found = found && strings.Contains(sources, "\n\t{\""+attack+"\", ")
		}
		if fixture != "" {
			_, err := os.Stat(filepath.Join("../..", fixture))
			found = err == nil
		}
		if !found {
			t.Errorf("docs/security.md names %s, which does not exist", name[0])
		}
	}
	if len(names) < 40 {
		t.Errorf("the page names only %d tests", len(names))
	}
}
