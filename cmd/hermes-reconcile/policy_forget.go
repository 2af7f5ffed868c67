package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/bundle"
)

func newPolicyForget() *cobra.Command {
	var agreed consent
	var dry dryRun
	cmd := &cobra.Command{
		Use:   "forget",
		Short: "Remove the last good copy of the rules, so that rules which are gone stop counting",
		Long: `Remove the last good copy of the rules from state_dir, and say what it was. While the
operator's rules are missing, the last good copy decides (alarm policy_gone). After this
command the next boot decides with the rules that are there, and keeps them. Only root,
or the owner of state_dir, can forget.

Exit status: 0 removed, or there was no copy; 1 the copy cannot be removed.`,
		Args: cobra.NoArgs,
		RunE: configured(func(cmd *cobra.Command, c config.Config, _ []string) error {
			if err := dry.check(); err != nil {
				return err
			}
			kept, err := bundle.Read(c.StateDir)
			if errors.Is(err, bundle.ErrNoLastGood) {
				fmt.Fprintf(cmd.OutOrStdout(), "There is no last good copy in state_dir %q.\n", c.StateDir)
				return nil
			}
			if err != nil {
				return detailedExit(dry.detailed, false, failed(err))
			}
			from := "no directory, only settings of the configuration"
			if dirs := kept.Directories(); len(dirs) > 0 {
				from = policy.Line(strings.Join(dirs, "; "))
			}
			copied := fmt.Sprintf("the last good copy of %s (revision %s), with rules of %s", kept.Saved.Format(time.RFC3339), policy.Line(kept.Revision), from)
			if dry.on {
				fmt.Fprintf(cmd.OutOrStdout(), "Would forget %s.\n", copied)
				return detailedExit(dry.detailed, true, nil)
			}
			if err := agreed.ask(cmd, "Forget "+copied+"?"); err != nil {
				return err
			}
			if _, err := bundle.Forget(c.StateDir); err != nil {
				return failed(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Forgot %s.\n", copied)
			return nil
		}),
	}
	dry.add(cmd, "print what the copy is, and keep it")
	agreed.add(cmd)
	return cmd
}
