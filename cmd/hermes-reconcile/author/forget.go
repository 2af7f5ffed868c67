package author

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/rego/bundle"
)

func newPolicyForget() *cobra.Command {
	var agreed cli.Consent
	var dry cli.DryRun
	cmd := &cobra.Command{
		Use:   "forget",
		Short: "Remove the last good copy of the rules, so that rules which are gone stop counting",
		Long: `Remove the last good copy of the rules from state_dir, and say what it was. While the
operator's rules are missing, the last good copy decides (alarm policy_gone). After this
command the next boot decides with the rules that are there, and keeps them. Only root,
or the owner of state_dir, can forget.

Exit status: 0 removed, or there was no copy; 1 the copy cannot be removed.`,
		Args: cobra.NoArgs,
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, _ []string) error {
			document := view.Forgotten{DryRun: dry.On, StateDir: c.StateDir}
			kept, err := bundle.Read(c.StateDir)
			switch {
			case errors.Is(err, bundle.ErrNoLastGood):
				err = nil
			case err == nil:
				document.Copy = &view.Copy{Saved: kept.Saved, Revision: kept.Revision, Directories: kept.Directories()}
				err = forget(cmd, document, agreed)
			}
			if err == nil {
				err = cli.Show(cmd, c, document, view.ForgottenLine)
			}
			return cli.DetailedExit(dry.Detailed, document.Copy != nil, cli.Failed(err))
		}),
	}
	dry.Add(cmd, "print what the copy is, and keep it")
	agreed.Add(cmd)
	return cmd
}

// forget removes the copy, after a question.
func forget(cmd *cobra.Command, f view.Forgotten, agreed cli.Consent) error {
	if f.DryRun {
		return nil
	}
	if err := agreed.Ask(cmd, fmt.Sprintf("Forget %s?", f.Copy)); err != nil {
		return err
	}
	_, err := bundle.Forget(f.StateDir)
	return err
}
