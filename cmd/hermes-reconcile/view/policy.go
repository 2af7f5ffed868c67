package view

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/check"
	"hermes-reconcile/rego/workbench"
)

// GithubFindings prints workflow commands, which show findings at their lines in a pull
// request.
func GithubFindings(w io.Writer, r check.Report) {
	for _, f := range r.Findings {
		fmt.Fprintf(w, "::%s file=%s,line=%d,col=%d,title=%s::%s\n", f.Severity, workflowProperty.Replace(f.File),
			max(f.Row, 1), max(f.Col, 1), workflowProperty.Replace(f.Code), workflowText.Replace(messageOf(f)))
	}
}

// messageOf returns the message of a finding, with what would be right if that is known.
func messageOf(f check.Finding) string {
	return strings.TrimSuffix(policy.Line(f.Message)+"\n"+f.Fix, "\n")
}

// Findings prints what `policy check` found.
func Findings(w io.Writer, r check.Report) {
	for _, f := range r.Findings {
		line(w, "%s", f)
		if f.Fix != "" {
			line(w, "    %s", f.Fix)
		}
	}
	if len(r.Findings) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%s and %s in %s and %s", policy.Count(r.Errors(), "error"), policy.Count(len(r.Findings)-r.Errors(), "warning"),
		policy.Count(r.Rules, "rule file"), policy.Count(r.Tests, "test file"))
	if len(r.Situations) > 0 {
		fmt.Fprintf(w, "; tried on %s", policy.Count(len(r.Situations), "situation"))
	}
	fmt.Fprintln(w, ".")
}

var (
	workflowText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	workflowProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// A CostList is what rule packages cost. `policy bench` prints it.
type CostList struct {
	SchemaVersion policy.Version `json:"schema_version"`
	Rules         []check.Cost   `json:"rules"`
}

// Costs prints what rule packages cost. The sizes are the columns.
func Costs(w io.Writer, l CostList, sizes []int) {
	costs := l.Rules
	head := []any{"PACKAGE"}
	for _, size := range sizes {
		head = append(head, size)
	}
	table := newTable(w, append(head, "TENFOLD PROFILES TAKE")...)
	for _, c := range costs {
		row := []any{c.Rule}
		for i := range sizes {
			cell := "-"
			if i < len(c.Sizes) && c.Sizes[i].Error == "" {
				cell = fmt.Sprintf("%.2f ms", float64(c.Sizes[i].Took)/float64(time.Millisecond))
			}
			row = append(row, cell)
		}
		growth := "-"
		if c.Growth > 0 {
			growth = fmt.Sprintf("%.1f times", c.Growth)
		}
		table.row(append(row, growth)...)
	}
	table.end()
	for _, c := range costs {
		if c.Warning != "" {
			line(w, "WARNING %s: %s", c.Rule, c.Warning)
		}
	}
}

// A RuleList is rule packages. `policy show` prints it.
type RuleList struct {
	SchemaVersion policy.Version      `json:"schema_version"`
	Rules         []workbench.Package `json:"rules"`
}

// Packages prints rule packages. If there is no home, homeErr says why.
func Packages(w io.Writer, l RuleList, homeErr error) {
	table := newTable(w, "PACKAGE", "LAYER", "PLACE", "ADDS", "TITLE")
	for _, p := range l.Rules {
		table.row(p.Name, p.Layer, fmt.Sprintf("%s:%d", p.File, p.Row), contributed(p), cmp.Or(p.Title, "-"))
	}
	table.end()
	if homeErr != nil {
		line(w, "There is no home, so what they add is not shown: %v", homeErr)
	}
}

// Sources prints the texts of rule packages.
func Sources(w io.Writer, l RuleList) {
	for i, p := range l.Rules {
		if i > 0 {
			fmt.Fprintln(w)
		}
		line(w, "# %s: %s", cmp.Or(p.Layer, "built-in"), p.File)
		io.WriteString(w, p.Source)
	}
}

// contributed returns what a package contributed, in the order of the sets.
func contributed(p workbench.Package) string {
	switch {
	case p.Off:
		return "switched off"
	case len(p.Failures) > 0:
		return "fails"
	case p.Stage == rego.KindLib:
		return "(helpers)"
	case p.Stage == rego.KindMask:
		return "(masks the decision log)"
	}
	var parts []string
	for _, set := range policy.Sets {
		if n := p.Contributed[set]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, set))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}

// A RecipeList is recipes. `policy recipes` prints it.
type RecipeList struct {
	SchemaVersion policy.Version     `json:"schema_version"`
	Recipes       []workbench.Recipe `json:"recipes"`
}

// Recipes prints a list of recipes.
func Recipes(w io.Writer, l RecipeList) {
	table := newTable(w, "RECIPE", "SETS", "TITLE")
	for _, r := range l.Recipes {
		table.row(r.Name, strings.Join(r.Contributes, ", "), r.Title)
	}
	table.end()
}

// Tests prints the results of tests of rules: those that did not pass, or with verbose
// all of them.
func Tests(w io.Writer, r workbench.TestReport, verbose bool) {
	counts := r.Count()
	for _, t := range r.Tests {
		if t.Outcome == workbench.Passed && !verbose {
			continue
		}
		line(w, "%-5s %s:%d: %s.%s", t.Outcome, t.File, t.Row, t.Package, t.Name)
		if t.Error != "" {
			line(w, "      %s", t.Error)
		}
		for text := range strings.Lines(t.Output) {
			line(w, "      print: %s", strings.TrimSuffix(text, "\n"))
		}
	}
	if r.Coverage != nil {
		for _, f := range r.Coverage.Files {
			fmt.Fprintf(w, "%5.1f%% %s", f.Percent, policy.Line(f.File))
			if len(f.NotCovered) > 0 {
				fmt.Fprintf(w, ", no test evaluates line %s", strings.Join(f.NotCovered, ", "))
			}
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%5.1f%% of all rules\n", r.Coverage.Percent)
	}
	fmt.Fprintf(w, "%d passed, %d failed", counts[workbench.Passed], counts[workbench.Failed]+counts[workbench.Errored])
	if counts[workbench.Skipped] > 0 {
		fmt.Fprintf(w, ", %d skipped", counts[workbench.Skipped])
	}
	fmt.Fprintln(w, ".")
}
