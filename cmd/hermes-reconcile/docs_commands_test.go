package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hermes-reconcile/cmd/hermes-reconcile/schemas"
)

// commandsPage is the page of all commands, made from their help texts.
func commandsPage(root *cobra.Command) string {
	var text strings.Builder
	text.WriteString("# Commands\n\n" +
		"After this page you know every command, its flags, and the exit statuses. This page is made from the help texts:\n" +
		"`hermes-reconcile COMMAND --help` says more, with examples.\n\n" +
		"## Flags of every command\n\n")
	flagTable(&text, root.PersistentFlags())
	text.WriteString("\n## Documents\n\n" +
		"With `--output json` or `yaml` each command prints a document, and an error is one too. `hermes-reconcile schema DOCUMENT` prints\n" +
		"its JSON Schema. Every document has a `schema_version`, which grows when a key changes its meaning or goes away.\n" +
		"`null` means that there is nothing, or that it is not known.\n\n" +
		"| document | printed by |\n| --- | --- |\n")
	for _, name := range schemas.Names() {
		var schema struct{ Description string }
		document, err := schemas.Of(name)
		if err := errors.Join(err, json.Unmarshal(document, &schema)); err != nil {
			panic(err) // the files are compiled in
		}
		fmt.Fprintf(&text, "| `%s` | %s |\n", name, strings.TrimSuffix(strings.TrimPrefix(schema.Description, "Printed by: "), "."))
	}
	text.WriteString("\n## Exit statuses\n\n" +
		"| status | meaning |\n| --- | --- |\n" +
		"| 0 | done; for a command that only looks: all is well |\n" +
		"| 1 | something failed for a profile |\n" +
		"| 2 | wrong usage or configuration; with `--detailed-exitcode`: there are changes |\n" +
		"| 3 | the policy cannot be used |\n" +
		"\nThe commands below say where they differ.\n\n## The commands\n")
	for _, c := range leaves(root) {
		fmt.Fprintf(&text, "\n### %s\n\n", strings.TrimPrefix(c.CommandPath(), "hermes-reconcile "))
		fmt.Fprintf(&text, "    %s\n\n%s.\n", c.UseLine(), c.Short)
		for paragraph := range strings.SplitSeq(c.Long, "\n\n") {
			if _, statuses, ok := strings.Cut(paragraph, "Exit status:"); ok {
				fmt.Fprintf(&text, "\nExit status:%s\n", strings.Join(append([]string{""}, strings.Fields(statuses)...), " "))
			}
		}
		if c.LocalNonPersistentFlags().HasAvailableFlags() {
			text.WriteString("\n")
			flagTable(&text, c.LocalNonPersistentFlags())
		}
	}
	return text.String()
}

// leaves returns the commands that do something, in the order of the help.
func leaves(c *cobra.Command) (all []*cobra.Command) {
	for _, below := range c.Commands() {
		switch {
		case !below.IsAvailableCommand() || below.Name() == "help" || below.Name() == "completion":
		case below.HasAvailableSubCommands():
			all = append(all, leaves(below)...)
		default:
			all = append(all, below)
		}
	}
	return all
}

func flagTable(text *strings.Builder, flags *pflag.FlagSet) {
	text.WriteString("| flag | meaning |\n| --- | --- |\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + strings.ToUpper(strings.TrimSuffix(value, "Array"))
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" && f.DefValue != "0s" {
			usage += "; by default " + f.DefValue
		}
		fmt.Fprintf(text, "| `%s` | %s |\n", name, strings.ReplaceAll(usage, "|", "\\|"))
	})
}
