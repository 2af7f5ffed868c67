package author

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/check"
	"hermes-reconcile/rego/example"
)

type checkFlags struct {
	strict, stdin bool
}

func newPolicyCheck() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [DIR|FILE]",
		Short: "Find mistakes in rules, also those that Rego accepts",
		Long: `Find mistakes in rules before a boot does: text that does not parse or compile,
facts and settings that do not exist, sets and members that are written wrongly,
rules that work but are probably a mistake, tests that test nothing. If there are
no errors, the rules are evaluated over example situations and the present home.
What they print in the present home goes to standard error.

With FILE, only findings in that file are shown; the other files of its directory
are read with it. The directory is the nearest one above FILE that has
data/settings.yaml, else that of FILE. With --stdin, FILE has the text of standard
input, as an editor has it before it is saved.

--output github prints workflow commands, which show findings at their lines in a
pull request; sarif is for other hosts of code, and junit for test reports.

Exit status: 0 no errors (there may be warnings), 3 errors. With --strict also 3
for warnings.`,
		Example: `  hermes-reconcile policy check ./rules
  hermes-reconcile policy check ./rules --strict --output github
  hermes-reconcile policy check ./rules/scratch.rego --stdin < buffer`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return policyCheck(cmd, args, f) },
	}
	cmd.Flags().StringP("output", "o", "", "table, json, yaml, github, sarif or junit (default table)")
	cmd.Flags().BoolVar(&f.strict, "strict", false, "exit 3 for warnings too")
	cmd.Flags().BoolVar(&f.stdin, "stdin", false, "read the text of FILE from standard input")
	return cmd
}

// findingFormats are the formats that only this command has.
var findingFormats = map[string]func(io.Writer, check.Report){
	"github": view.GithubFindings, "sarif": view.SarifFindings, "junit": view.JunitFindings,
}

func policyCheck(cmd *cobra.Command, args []string, f checkFlags) error {
	table, asTable := view.Findings, true
	for name, format := range findingFormats {
		if cli.TakeFormat(cmd, name) {
			table, asTable = format, false
		}
	}
	c, layers, file, err := checkedLayers(cmd, args, f.stdin)
	if err != nil {
		return err
	}
	o := check.Options{Options: world.PolicyOptions(c), Printed: cmd.ErrOrStderr()}
	home, homeErr := presentHome(cmd, c)
	if homeErr == nil {
		o.Situations = []example.Situation{{Name: "the present home", Input: home}}
	}
	report := check.Check(cmd.Context(), layers, o)
	if file != "" {
		report = report.Only(file)
	}
	if err := cli.Show(cmd, c, report, table); err != nil {
		return err
	}
	if c.Output == "table" && asTable && homeErr != nil && len(report.Situations) > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "The present home was not tried: %v\n", homeErr)
	}
	if report.Errors() > 0 || f.strict && len(report.Findings) > 0 {
		return cli.Exit(cli.ExitPolicy, nil)
	}
	return nil
}

// checkedLayers returns the layers, and the one file that the findings are about, or "".
func checkedLayers(cmd *cobra.Command, args []string, stdin bool) (c config.Config, layers []rego.Layer, file string, err error) {
	place := append(args, ".")[0]
	info, err := os.Stat(place)
	isDir := err == nil && info.IsDir()
	switch {
	case isDir && stdin:
		return c, nil, "", errors.New("--stdin wants FILE, the name of the text")
	case isDir || err != nil && !stdin:
		c, layers, err = authorLayers(cmd, args)
		return c, layers, "", err
	}
	dir := rulesDirectory(place)
	if c, err = namedConfig(cmd, []string{dir}); err != nil {
		return c, nil, "", err
	}
	layers = world.Layers(c)
	name, err := filepath.Rel(dir, place)
	if stdin {
		text, readErr := io.ReadAll(io.LimitReader(cmd.InOrStdin(), rego.MaxFile+1))
		layers[1].Files, err = check.Overlay(layers[1].Files, name, text)
		err = cmp.Or(readErr, err)
	}
	return c, layers, path.Join(dir, name), err
}

// rulesDirectory returns the nearest directory above a file that has settings, else that of
// the file.
func rulesDirectory(file string) string {
	for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, rego.SettingsFile)); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return filepath.Dir(file)
		}
	}
}
