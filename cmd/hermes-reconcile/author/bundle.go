package author

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/policy/wait"
	"hermes-reconcile/rego/bundle"
)

func newPolicyInspect() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect FILE|SOURCE",
		Short: "Show what is in a bundle, and whether its signature holds",
		Long: `Show what is in a bundle: revision, roots, files, rules, settings, and by which key it is
signed. A SOURCE such as https://… or oci://… is fetched, with the credentials of
bundles.services. The keys are those of policy_keys.

Exit status: 0 the bundle would be used, 1 it cannot be read or fetched, 3 it would not be
used: it is no bundle, or its signature does not hold.`,
		Example: `  hermes-reconcile policy inspect oci://registry.example.com/team/policy:v1 -o json`,
		Args:    cobra.ExactArgs(1),
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, args []string) error {
			_, info, err := readBundle(cmd.Context(), c, args[0])
			if len(info.Files) == 0 {
				return err
			}
			return cmp.Or(cli.Show(cmd, c, info, view.Bundle), err)
		}),
	}
}

func newPolicyPull() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pull SOURCE",
		Short: "Fetch a bundle into a file",
		Long: `Fetch a bundle from https://… or oci://…, with the credentials of bundles.services and
within bundles.max_bytes. A bundle that would not be used is not written.

Exit status: 0 the file is written, 1 the bundle cannot be fetched or written, 3 it would
not be used: it is no bundle, or its signature does not hold with policy_keys.`,
		Example: `  hermes-reconcile policy pull oci://registry.example.com/team/policy:v1 -o bundle.tar.gz`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, _ := cmd.Flags().GetString("output")
			cli.TakeFormat(cmd, file)
			return cli.Configured(func(cmd *cobra.Command, c config.Config, args []string) error {
				text, info, err := readBundle(cmd.Context(), c, args[0])
				if err == nil {
					err = cli.Failed(renameio.WriteFile(file, text, 0o644))
				}
				if err != nil {
					return err
				}
				return cli.Show(cmd, c, info, view.Bundle)
			})(cmd, args)
		},
	}
	cmd.Flags().StringP("output", "o", "bundle.tar.gz", "the `file` to write")
	return cmd
}

func newPolicyPush() *cobra.Command {
	return &cobra.Command{
		Use:   "push FILE oci://REGISTRY/REPOSITORY:TAG",
		Short: "Put a bundle into a registry",
		Long: `Put a bundle into an OCI registry, with the credentials of bundles.services. A tag that
exists moves to the new bundle. Other OPA programs can fetch it too.

Exit status: 0 the bundle is in the registry, 1 the registry refuses it or cannot be
reached, 3 it would not be used: it is no bundle, or its signature does not hold with
policy_keys.`,
		Example: `  hermes-reconcile policy push bundle.tar.gz oci://registry.example.com/team/policy:v1`,
		Args:    cobra.ExactArgs(2),
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, args []string) error {
			if !strings.HasPrefix(args[1], "oci://") {
				return fmt.Errorf("%s is in no registry, want oci://registry.example.com/team/policy:v1; for https, copy the file to the server", policy.ShownSource(args[1]))
			}
			text, info, err := readBundle(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			ctx, end := forServer(cmd.Context(), args[1])
			defer end()
			if info.Image, err = world.Fetcher(c).Push(ctx, args[1], text); err != nil {
				return cli.Failed(fmt.Errorf("%s: %w", policy.ShownSource(args[1]), err))
			}
			return cli.Show(cmd, c, info, view.Bundle)
		}),
	}
}

// readBundle reads a file, or fetches a source, and describes it. Beside an error with a
// description, the bundle would not be used.
func readBundle(ctx context.Context, c config.Config, source string) (text []byte, info bundle.Info, err error) {
	if policy.IsFetched(source) {
		ctx, end := forServer(ctx, source)
		defer end()
		got, getErr := world.Fetcher(c).Get(ctx, source, "", 0)
		text, err = got.Text, getErr
	} else {
		text, err = trust.Read(strings.TrimPrefix(source, "file://"), trust.Anybody, int64(c.Bundles.MaxBytes))
	}
	shown := policy.ShownSource(source)
	if err != nil {
		return nil, info, cli.Failed(fmt.Errorf("%s: %w", shown, err))
	}
	if info, err = world.Sources(c).Inspect(source, text); err != nil {
		return nil, info, cli.Exit(cli.ExitPolicy, fmt.Errorf("%s: %w", shown, err))
	}
	if info.NotUsed != "" {
		err = cli.Exit(cli.ExitPolicy, fmt.Errorf("%s would not be used: %s", shown, info.NotUsed))
	}
	return text, info, err
}

// forServer limits how long a server may take, and shows that somebody waits for it.
func forServer(ctx context.Context, source string) (limited context.Context, end func()) {
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	shown := wait.For(ctx, policy.ShownSource(source), time.Minute)
	return limited, func() { shown(); cancel() }
}
