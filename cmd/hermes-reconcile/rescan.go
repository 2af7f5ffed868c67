package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/policy"
)

func newRescan() *cobra.Command {
	var dry cli.DryRun
	cmd := &cobra.Command{
		Use:   "rescan",
		Short: "Ask s6-svscan for a scan, and verify that every slot is supervised",
		Long: `Ask s6-svscan for a scan of the scan directory, and verify that every slot of
hermes-reconcile is supervised. s6-overlay scans once, after the cont-init scripts. When a
failed service of the image prevents that scan, no gateway comes up, and "rescan" makes up
for it. "rescan" is safe at any time.`,
		Args: cobra.NoArgs,
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, _ []string) error {
			executor, err := world.Executor(c, cli.Log(cmd, c))
			if err != nil {
				return err
			}
			if _, err := os.Stat(c.ScanDir); err != nil { // Lock would make it
				return cli.Failed(fmt.Errorf("rescan: nobody scans it: %w", err))
			}
			document := view.Rescan{DryRun: dry.On, Unsupervised: executor.Slots(cmd.Context()).Unsupervised()}
			if dry.On {
				return cli.DetailedExit(dry.Detailed, document.Unsupervised > 0, cli.Show(cmd, c, document, view.RescanLine))
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), c.Boot.Deadline)
			defer cancel()
			unlock, err := executor.Lock(ctx)
			if err != nil {
				return cli.Failed(fmt.Errorf("rescan: %w", err))
			}
			defer unlock()
			for _, r := range executor.Execute(ctx, []policy.Operation{{Op: policy.OpRescan, Cause: "asked for"}}, policy.ExecuteOptions{}) {
				if r.Err != nil {
					return cli.Failed(fmt.Errorf("rescan: %w", r.Err))
				}
			}
			return cli.Show(cmd, c, document, view.RescanLine)
		}),
	}
	dry.Add(cmd, "print how many slots have no supervisor, and ask for nothing")
	return cmd
}
