package workbench

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateRecipesPage = flag.Bool("update", false, "rewrite docs/recipes.md")

const recipesPage = "../../docs/recipes.md"

// docs/recipes.md is made from the METADATA and the settings of the recipes:
// `go test ./rego/workbench -run RecipesPage -update` writes it.
func TestRecipesPage(t *testing.T) {
	t.Parallel()
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
		t.Errorf("%s is stale, run: go test ./rego/workbench -run RecipesPage -update (-want +have)\n%s", recipesPage, diff)
	}
}

const recipesPageHead = `# Recipes

<!-- Made from rego/recipes by a test: go test ./rego/workbench -run RecipesPage -update -->

After this page you can choose a ready rule and install it with its settings.

A recipe is a rule that many operators need and that would be wrong for others. So the program ships recipes but does
not switch them on. Install a recipe and give it settings:

    hermes-reconcile policy recipes
    hermes-reconcile policy add never_autostart /etc/hermes-reconcile/policy
    # edit /etc/hermes-reconcile/policy/data/settings.yaml
    hermes-reconcile eval --policy /etc/hermes-reconcile/policy

With its shipped settings a recipe is off: it contributes nothing. Its contributions combine with those of all other
rules: skip wins over hold, hold wins over start, and a profile without a contribution stays down. ` + "`eval -o json`" + ` shows every contribution with its reason. A hold also stops a running gateway at the next ` + "`apply`" + `.
You may change the installed file.

Packages in reconcile.after see which profiles would start and decide among them. Packages in reconcile.rules do not
see each other.

A list of profiles holds names and patterns: ` + "`*`" + ` is any text, ` + "`?`" + ` one character, ` + "`{a,b}`" + ` one of several. A pattern
must match the whole name. The root profile is called ` + "`default`" + `. A number such as #33597 is an issue of upstream; a
word before the number names a repository that deploys upstream.

Three choices are settings of the built-in rules and need no recipe: the roles of a container that supervise nothing
(` + "`settings.no_supervise_roles`" + `), the recorded states that start a gateway (` + "`settings.start_states`" + `,
` + "`settings.transient_states`" + `), and the files that make a directory a profile (` + "`settings.profile_markers`" + `).

`

func pageOf(recipes []Recipe) string {
	var b strings.Builder
	b.WriteString(recipesPageHead)
	b.WriteString("| recipe | what it does | sets |\n| --- | --- | --- |\n")
	for _, r := range recipes {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", r.Name, r.Name, r.Title, coded(r.Contributes))
	}
	for _, r := range recipes {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n%s\n\n", r.Name, r.Title, r.Description)
		fmt.Fprintf(&b, "Package `%s`, sets %s, codes %s.", r.Package, coded(r.Contributes), coded(r.Codes))
		if len(r.Evidence) > 0 {
			fmt.Fprintf(&b, " Asked for in %s.", strings.Join(r.Evidence, ", "))
		}
		fmt.Fprintf(&b, " Example: [fixtures/recipe-%s.txtar](../fixtures/recipe-%s.txtar).", r.Name, r.Name)
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
