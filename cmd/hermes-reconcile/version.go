package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set when a release is built; otherwise the build information says
// which commit this is.
var version = ""

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and that of the policy engine",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine())
			return err
		},
	}
}

func versionLine() string {
	own, engine := version, "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		if own == "" {
			own = info.Main.Version
		}
		for _, m := range info.Deps {
			if m.Path == "github.com/open-policy-agent/opa" {
				engine = m.Version
			}
		}
	}
	return fmt.Sprintf("hermes-reconcile %s (OPA %s, %s)", own, engine, runtime.Version())
}
