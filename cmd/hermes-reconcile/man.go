//go:build man

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
)

// extraCommands are those of the build of a release: a command that writes the man pages.
// No other binary has what it needs for that.
func extraCommands() []*cobra.Command { return []*cobra.Command{newMan()} }

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIRECTORY",
		Short:  "Write the man pages",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return cli.Exit(cli.ExitProfile, err)
			}
			seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
			if err != nil {
				return errors.New("SOURCE_DATE_EPOCH is not set: the pages would have another date each time")
			}
			date := time.Unix(seconds, 0).UTC()
			header := &doc.GenManHeader{Title: "HERMES-RECONCILE", Section: "8", Source: "hermes-reconcile", Manual: "hermes-reconcile", Date: &date}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return cli.Exit(cli.ExitProfile, fmt.Errorf("man pages: %w", err))
			}
			return appendSections(filepath.Join(args[0], "hermes-reconcile.8"))
		},
	}
}

// sections are what cobra's page of the whole program lacks.
const sections = `.SH FILES
.TP
\fI/etc/hermes-reconcile/config.yaml\fP
the configuration; see \fBhermes-reconcile config show\fP
.TP
\fI/etc/hermes-reconcile/policy\fP
rules of the operator, with their settings in \fIdata/settings.yaml\fP
.TP
\fI/etc/hermes-reconcile/facts.d\fP
plug-ins that make facts
.TP
\fI/var/lib/hermes-reconcile\fP
what survives the container: the last good rules, memories, releases of holds
.TP
\fI/run/hermes-reconcile\fP
what the service watch keeps until the container stops; a byte to the FIFO \fIpoke\fP has it look again
.TP
\fI/run/service\fP
the scan directory of s6, with a slot for each profile
.TP
\fI$HERMES_HOME/logs/container-boot.log\fP, \fIcontainer-boot.jsonl\fP, \fIcontainer-watch.jsonl\fP
the boot log and the ledgers; see \fBhermes-reconcile log\fP and \fBhermes-reconcile events\fP
.SH ENVIRONMENT
.TP
\fBHERMES_HOME\fP, \fBS6_PROFILE_GATEWAY_SCANDIR\fP
the home on the volume, and the scan directory
.TP
\fBHERMES_RECONCILE_\fP\fIKEY\fP
a key of the configuration, with __ for a dot: \fBHERMES_RECONCILE_WATCH__RESYNC=2m\fP
.TP
\fBHERMES_RECONCILE_FACT_\fP\fINAME\fP, \fBHERMES_RECONCILE_PROFILES\fP
facts for rules
.TP
\fBNO_COLOR\fP
no colours, whatever its value
.TP
\fBTZ\fP
the time zone of the times that are printed
.SH EXIT STATUS
.TP
\fB0\fP
done; for a command that only looks: all is well
.TP
\fB1\fP
something failed for a profile
.TP
\fB2\fP
wrong usage or configuration; with --detailed-exitcode: there are changes
.TP
\fB3\fP
the policy cannot be used
`

func appendSections(page string) error {
	file, err := os.OpenFile(page, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return cli.Exit(cli.ExitProfile, err)
	}
	_, err = file.WriteString(sections)
	return cli.Failed(errors.Join(err, file.Close()))
}
