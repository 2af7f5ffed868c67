package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/check"
)

func newPolicyBench() *cobra.Command {
	var sizes []int
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what each rule package costs as profiles grow in number",
		Long: `Measure what each rule package costs for homes of example profiles. A package gets a
warning if its time grows faster than the number of profiles: it has a loop over all
profiles inside another one, which is fast with ten profiles and slow with a thousand.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return policyBench(cmd, sizes, limit) },
	}
	cmd.Flags().IntSliceVar(&sizes, "sizes", check.CostSizes(), "numbers of profiles")
	cmd.Flags().DurationVar(&limit, "limit", 10*time.Second, "give up on one package after this time")
	return cmd
}

func policyBench(cmd *cobra.Command, sizes []int, limit time.Duration) error {
	c, err := config.Load(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	for _, size := range sizes {
		if size < 1 || size > 100_000 {
			return fmt.Errorf("--sizes has %d, want numbers from 1 to 100000", size)
		}
	}
	if limit <= 0 {
		return fmt.Errorf("--limit is %s, want more than 0", limit)
	}
	slices.Sort(sizes) // the columns of the table
	c.PolicyTimeout = limit
	evaluator, err := loadPolicy(c)
	if err != nil {
		return err
	}
	costs, err := check.MeasureCost(cmd.Context(), evaluator, sizes)
	if err != nil {
		return &exitError{exitProfile, err}
	}
	w := cmd.OutOrStdout()
	return printOr(w, c, costs, func() error { return writeCosts(w, costs, sizes) })
}

func writeCosts(w io.Writer, costs []check.Cost, sizes []int) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprint(table, "PACKAGE")
	for _, size := range sizes {
		fmt.Fprintf(table, "\t%d", size)
	}
	fmt.Fprintln(table, "\tTENFOLD PROFILES TAKE")
	for _, c := range costs {
		fmt.Fprint(table, c.Rule)
		for i := range sizes {
			cell := "-"
			if i < len(c.Sizes) && c.Sizes[i].Error == "" {
				cell = milliseconds(c.Sizes[i].Took)
			}
			fmt.Fprintf(table, "\t%s", cell)
		}
		growth := "-"
		if c.Growth > 0 {
			growth = fmt.Sprintf("%.1f times", c.Growth)
		}
		fmt.Fprintf(table, "\t%s\n", growth)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, c := range costs {
		if c.Warning != "" {
			fmt.Fprintf(w, "WARNING %s: %s\n", c.Rule, policy.Line(c.Warning))
		}
	}
	return nil
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}
