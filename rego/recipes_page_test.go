package rego

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateRecipesPage = flag.Bool("update", false, "rewrite docs/recipes.md")

const recipesPage = "../docs/recipes.md"

// docs/recipes.md is made from the METADATA and the settings of the recipes:
// `go test ./rego -run RecipesPage -update` writes it.
func TestRecipesPage(t *testing.T) {
	want := pageOf(Recipes())
	if *updateRecipesPage {
		if err := os.WriteFile(recipesPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(recipesPage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(have)); diff != "" {
		t.Errorf("%s is stale, run: go test ./rego -run RecipesPage -update (-want +have)\n%s", recipesPage, diff)
	}
}

const recipesPageHead = `# Recipes

<!-- Made from rego/recipes by a test: go test ./rego -run RecipesPage -update -->

A recipe is a rule that many asked for and that contradicts what others asked for,
so it is shipped and not switched on. Install one and give it settings:

    hermes-reconcile policy recipes
    hermes-reconcile policy add never_autostart /etc/hermes-reconcile/policy
    # edit /etc/hermes-reconcile/policy/data/settings.yaml
    hermes-reconcile eval --policy /etc/hermes-reconcile/policy

With the settings that it comes with, a recipe has no opinion: it changes no
decision. A recipe only contributes; what wins over what is the same for all rules
(skip, then hold, then start, else down), and ` + "`eval -o json`" + ` shows every
contribution with its reason. A hold means down also for what runs, when the rules
are applied to a running container. Once installed the file is yours to change.

The packages in reconcile.after see who would go up and decide among them; those in
reconcile.rules do not see each other.

A list of profiles takes names and patterns: ` + "`*`" + ` is any text, ` + "`?`" + ` one character,
` + "`{a,b}`" + ` one of several; a pattern is matched against the whole name, and the root
profile is called ` + "`default`" + `. Numbers such as #33597 are issues of upstream; those with a
word before them are of repositories that deploy it.

Built in, and therefore no recipe: which roles of a container supervise nothing
(` + "`settings.no_supervise_roles`" + `), which recorded states mean "start it"
(` + "`settings.start_states`, `settings.transient_states`" + `), and which files make a
directory a profile (` + "`settings.profile_markers`" + `).

`

func pageOf(recipes []Recipe) string {
	var b strings.Builder
	b.WriteString(recipesPageHead)
	b.WriteString("| recipe | what it is about | sets |\n| --- | --- | --- |\n")
	for _, r := range recipes {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", r.Name, r.Name, r.Title, coded(r.Contributes))
	}
	for _, r := range recipes {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n%s\n\n", r.Name, r.Title, r.Description)
		fmt.Fprintf(&b, "Package `%s`, sets %s, codes %s.", r.Package, coded(r.Contributes), coded(r.Codes))
		if len(r.Evidence) > 0 {
			fmt.Fprintf(&b, " Asked for in %s.", strings.Join(r.Evidence, ", "))
		}
		fmt.Fprintf(&b, " At work in [fixtures/recipe-%s.txtar](../fixtures/recipe-%s.txtar).", r.Name, r.Name)
		fmt.Fprintf(&b, "\n\n```yaml\n%s```\n", r.Settings)
	}
	return b.String()
}

func coded(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = "`" + word + "`"
	}
	return strings.Join(quoted, ", ")
}
