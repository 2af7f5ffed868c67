package workbench

import (
	"fmt"
	"slices"
	"strings"

	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/recipes"
)

// A Recipe is a rule package that is shipped and not switched on. An operator copies it
// into a policy directory and gives it settings. With its default settings it
// contributes nothing.
type Recipe struct {
	Name        string   `json:"name"`    // of the directory and the files, and the last word of the package
	Package     string   `json:"package"` // as reconcile.rules.<name> or reconcile.after.<name>
	Title       string   `json:"title"`
	Description string   `json:"description"` // what it is for and what it costs; a paragraph of Markdown
	Contributes []string `json:"contributes"` // the sets
	Codes       []string `json:"codes"`       // the codes of its contributions
	Evidence    []string `json:"evidence"`    // upstream's issues that ask for it
	// Settings is a YAML document with the one key settings: every setting of the
	// recipe, with its default and a comment. No two recipes share a setting.
	Settings string `json:"settings"`
	// Files are <name>.rego and <name>_test.rego, by name.
	Files map[string]string `json:"files"`
}

// Recipes returns all recipes, sorted by name.
func Recipes() []Recipe {
	var all []Recipe
	for _, name := range RecipeNames() {
		all = append(all, readRecipe(name))
	}
	return all
}

// RecipeNames returns the names of all recipes, sorted.
func RecipeNames() []string {
	var names []string
	for _, entry := range rego.CompiledIn(recipes.Files.ReadDir(".")) { // sorted
		names = append(names, entry.Name())
	}
	return names
}

// FindRecipe returns the recipe of that name. The error suggests another name.
func FindRecipe(name string) (Recipe, error) {
	if names := RecipeNames(); !slices.Contains(names, name) {
		return Recipe{}, fmt.Errorf("no such recipe as %q%s", name, suggest.Words(name, names))
	}
	return readRecipe(name), nil
}

func readRecipe(name string) Recipe {
	read := func(file string) string { return string(rego.CompiledIn(recipes.Files.ReadFile(name + "/" + file))) }
	rules, tests := name+".rego", name+"_test.rego"
	r := Recipe{Name: name, Settings: read("settings.yaml"), Files: map[string]string{rules: read(rules), tests: read(tests)}}
	s := rego.CompiledIn(rego.Parse(1, rules, []byte(r.Files[rules])))
	a := s.Metadata()
	r.Package, r.Title, r.Description = s.Package(), a.Title, strings.TrimSpace(a.Description)
	r.Contributes, r.Codes, r.Evidence = words(a.Custom["contributes"]), words(a.Custom["codes"]), words(a.Custom["evidence"])
	return r
}

// words reads a list of strings.
func words(value any) []string {
	list, _ := value.([]any)
	found := make([]string, 0, len(list))
	for _, item := range list {
		found = append(found, fmt.Sprint(item))
	}
	return slices.Clip(found)
}
