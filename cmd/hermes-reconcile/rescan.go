package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"hermes-reconcile/policy"
)

func newRescan() *cobra.Command {
	return &cobra.Command{
		Use:   "rescan",
		Short: "Ask s6-svscan for a scan, and verify that every slot is supervised",
		Long: `Ask s6-svscan for a scan of the scan directory, and verify that every slot of
ours is supervised. s6-overlay scans once, after the cont-init scripts; where a
failed service of the image keeps it from doing so, no gateway comes up, and this
command mends it. It is safe at any time.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			executor, err := newExecutor(c, newLogger(c, cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), c.Boot.Deadline)
			defer cancel()
			for _, r := range executor.Execute(ctx, []policy.Operation{{Op: policy.OpRescan, Cause: "asked for"}}) {
				if r.Err != nil {
					return &exitError{exitProfile, fmt.Errorf("rescan: %w", r.Err)}
				}
			}
			return nil
		},
	}
}
