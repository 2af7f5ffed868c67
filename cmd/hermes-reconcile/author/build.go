package author

import (
	"fmt"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/rego/check"
	"hermes-reconcile/rego/publish"
)

type buildFlags struct {
	revision, sign, keyID string
	metadata              []string
}

func newPolicyBuild() *cobra.Command {
	var f buildFlags
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Make a bundle of rules for other containers",
		Long: `Check a directory of rules as "policy check" does, and make a bundle of its rules and
settings, as "opa build --bundle" does. Tests and the settings of the configuration are
left out. The same rules with the same --revision give the same bytes; only the
signatures of a curve of NIST differ each time.

--sign signs with a private key without a passphrase that only its owner can read: RSA
with RS256, a curve of NIST with ES256 or its like, Ed25519 with EdDSA, which OPA's own
commands do not know. A container refuses a revision that goes back. Whole numbers and
times have an order; for another one give --metadata sequence=NUMBER.

Exit status: 0 the bundle is written (there may be warnings), 3 errors in the rules.`,
		Example: `  hermes-reconcile policy build ./rules -o bundle.tar.gz
  hermes-reconcile policy build ./rules --sign key.pem --key-id fleet --revision 42`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return policyBuild(cmd, args, f) },
	}
	cmd.Flags().StringP("output", "o", "bundle.tar.gz", "the `file` to write")
	cmd.Flags().StringVar(&f.revision, "revision", "", "`name` of this version of the rules (default the present time)")
	cmd.Flags().StringVar(&f.sign, "sign", "", "`file` of the private key that signs")
	cmd.Flags().StringVar(&f.keyID, "key-id", "", "`id` of the key in policy_keys; needed if there are several")
	cmd.Flags().StringArrayVar(&f.metadata, "metadata", nil, "`key=value`: metadata of the manifest, may be given several times")
	return cmd
}

func policyBuild(cmd *cobra.Command, args []string, f buildFlags) error {
	file, _ := cmd.Flags().GetString("output")
	cli.TakeFormat(cmd, file)
	metadata, key, err := f.read()
	if err != nil {
		return err
	}
	c, layers, err := authorLayers(cmd, args)
	if err != nil {
		return err
	}
	if len(c.Policy) != 1 || layers[1].Bundle != nil {
		return fmt.Errorf("a bundle is made of one directory, name it; there are %d places of rules", len(c.Policy))
	}
	report := check.Check(cmd.Context(), layers, check.Options{Options: world.PolicyOptions(c)})
	if len(report.Findings) > 0 {
		view.Findings(cmd.ErrOrStderr(), report)
	}
	if report.Errors() > 0 {
		return cli.Exit(cli.ExitPolicy, fmt.Errorf("%s: no bundle is made of rules with mistakes", c.Policy[0]))
	}
	if f.revision == "" {
		f.revision = time.Now().UTC().Format(time.RFC3339)
	}
	text, err := publish.Build(layers[1], f.revision, metadata, key)
	if err != nil {
		return cli.Exit(cli.ExitPolicy, err)
	}
	info, err := world.Sources(c).Inspect(file, text)
	if err != nil {
		return cli.Exit(cli.ExitPolicy, err)
	}
	if err := renameio.WriteFile(file, text, 0o644); err != nil {
		return cli.Failed(err)
	}
	view.Bundle(cmd.OutOrStdout(), info)
	return nil
}

// read reads what the flags name. Without a key nothing is signed.
func (f buildFlags) read() (metadata map[string]any, key *publish.Key, err error) {
	if metadata, err = publish.Metadata(f.metadata); err == nil && f.sign != "" {
		key, err = publish.ReadKey(f.sign, f.keyID)
	}
	return metadata, key, err
}
