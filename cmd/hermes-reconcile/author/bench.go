package author

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/rego/check"
)

func newPolicyBench() *cobra.Command {
	var sizes []int
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure how the time of each rule package grows with the profiles",
		Long: `Measure how long each rule package takes for homes of example profiles. A package
gets a warning if its time grows faster than the number of profiles. Such a package
loops over all profiles inside another such loop: it is fast with ten profiles and
slow with a thousand. A package that exceeds policy_timeout is not tried with more
profiles.`,
		Args: cobra.NoArgs,
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, _ []string) error { return policyBench(cmd, c, sizes) }),
	}
	cmd.Flags().IntSliceVar(&sizes, "sizes", []int{10, 100, 1_000, 10_000}, "numbers of profiles")
	return cmd
}

func policyBench(cmd *cobra.Command, c config.Config, sizes []int) error {
	for _, size := range sizes {
		if size < 1 || size > 100_000 {
			return fmt.Errorf("--sizes has %d, want numbers from 1 to 100000", size)
		}
	}
	slices.Sort(sizes) // the columns of the table
	evaluator, err := cli.LoadPolicy(c)
	if err != nil {
		return err
	}
	costs, err := check.MeasureCost(cmd.Context(), evaluator, sizes)
	if err != nil {
		return cli.Failed(err)
	}
	return cli.Show(cmd, c, view.CostList{Rules: costs}, func(w io.Writer, l view.CostList) { view.Costs(w, l, sizes) })
}
