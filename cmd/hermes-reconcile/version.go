package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
)

// version is set when a release is built; otherwise the build information says
// which commit this is.
var version = ""

// versions is the document of the command version.
type versions struct {
	SchemaVersion policy.Version `json:"schema_version"`
	Version       string         `json:"version"`
	OPA           policy.Maybe   `json:"opa"`
	Go            string         `json:"go"`
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and that of the policy engine",
		Args:  cobra.NoArgs,
		RunE:  printVersion,
	}
}

func printVersion(cmd *cobra.Command, _ []string) error {
	format, _ := cmd.Flags().GetString("output") // whatever the configuration says
	if words := config.Words("output"); format != "" && !slices.Contains(words, format) {
		return fmt.Errorf("--output is %q%s", format, suggest.Words(format, words))
	}
	line := func(w io.Writer, v versions) { fmt.Fprintln(w, v) }
	return cli.Failed(view.Print(cmd.OutOrStdout(), cmp.Or(format, "table"), currentVersions(), line))
}

func currentVersions() versions {
	v := versions{Version: version, OPA: "unknown", Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.Version = cmp.Or(v.Version, info.Main.Version)
		for _, m := range info.Deps {
			if m.Path == "github.com/open-policy-agent/opa" {
				v.OPA = policy.Maybe(m.Version)
			}
		}
	}
	return v
}

func (v versions) String() string {
	return fmt.Sprintf("hermes-reconcile %s (OPA %s, %s)", v.Version, v.OPA, v.Go)
}
