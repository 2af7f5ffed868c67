//go:build man

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
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
				return &exitError{exitProfile, err}
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
				return &exitError{exitProfile, fmt.Errorf("man pages: %w", err)}
			}
			return nil
		},
	}
}
