package author

import (
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/rego/workbench"
)

type testFlags struct {
	run       string
	verbose   bool
	coverage  bool
	threshold float64
}

func newPolicyTest() *cobra.Command {
	var f testFlags
	cmd := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Run the tests of rules",
		Long: `Run the tests of rules: every rule whose name begins with test_ in a file
*_test.rego. A test sees the settings, the built-in rules, and example facts as
data.reconcile.lib.example. It names only the facts that it is about:

    test_a_stopped_profile_waits if {
        members := my_rule.hold with input as example.home({"coder": {"prior_state": {"desired": "stopped"}}})
        count(members) == 1
    }

Exit status: 0 all tests pass, 2 wrong usage, 3 a test fails, there is no test, or
the coverage is below the threshold.`,
		Example: `  hermes-reconcile policy test ./rules --verbose
  hermes-reconcile policy test ./rules --run quiet_nights
  hermes-reconcile policy test ./rules --coverage --threshold 90`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			f.coverage = f.coverage || cmd.Flags().Changed("threshold")
			return policyTest(cmd, args, f)
		},
	}
	cmd.Flags().StringVar(&f.run, "run", "", "only tests whose full name matches this regular expression")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "also show the tests that pass, and what print() wrote")
	cmd.Flags().BoolVar(&f.coverage, "coverage", false, "show which lines of the rules no test evaluates")
	cmd.Flags().Float64Var(&f.threshold, "threshold", 0, "with less coverage than this, in percent, exit 3")
	return cmd
}

// check returns an error about an invalid flag.
func (f testFlags) check() error {
	if _, err := regexp.Compile(f.run); err != nil {
		return fmt.Errorf("--run %q: %w", f.run, err)
	}
	if f.threshold < 0 || f.threshold > 100 {
		return fmt.Errorf("--threshold %g, want 0 to 100 percent", f.threshold)
	}
	return nil
}

func policyTest(cmd *cobra.Command, dirs []string, f testFlags) error {
	c, all, err := authorLayers(cmd, dirs)
	if err != nil {
		return err
	}
	report, err := workbench.RunTests(cmd.Context(), all, workbench.TestOptions{Settings: c.Settings, Run: f.run, Coverage: f.coverage})
	if err != nil {
		return cli.Exit(cli.ExitPolicy, fmt.Errorf("these tests cannot be run:\n%w", err))
	}
	if err := cli.Show(cmd, c, report, func(w io.Writer, r workbench.TestReport) { view.Tests(w, r, f.verbose) }); err != nil {
		return err
	}
	return testVerdict(report, f)
}

// testVerdict returns the exit status of a run as an error.
func testVerdict(r workbench.TestReport, f testFlags) error {
	switch counts := r.Count(); {
	case len(r.Tests) == 0 && f.run != "":
		return cli.Exit(cli.ExitPolicy, fmt.Errorf("no test matches %q", f.run))
	case len(r.Tests) == 0:
		return cli.Exit(cli.ExitPolicy, errors.New("there is no test; a test is a rule whose name begins with test_ in a file *_test.rego"))
	case counts[workbench.Failed]+counts[workbench.Errored] > 0:
		return cli.Exit(cli.ExitPolicy, nil)
	case r.Coverage != nil && r.Coverage.Percent < f.threshold:
		return cli.Exit(cli.ExitPolicy, fmt.Errorf("the tests cover %.1f%% of the rules, want %g%%", r.Coverage.Percent, f.threshold))
	}
	return nil
}
