package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// maxInput limits a saved input document, in bytes. One of 10,000 profiles has a quarter of
// that.
const maxInput = 256 << 20

// savedInput reads the saved input document that --input names; nil without a name. A pipe
// may be slow: the signal that ends cmd ends the reading too.
func savedInput(cmd *cobra.Command, name string) (*policy.Input, error) {
	if name == "" {
		return nil, nil
	}
	var in policy.Input
	read := make(chan error, 1)
	go func() {
		var err error
		in, err = readInput(name, cmd.InOrStdin())
		read <- err
	}()
	select {
	case err := <-read:
		if err != nil {
			return nil, cli.Exit(cli.ExitUsage, err)
		}
		return &in, nil
	case <-cmd.Context().Done():
		return nil, cli.Failed(fmt.Errorf("interrupted while reading %s", name))
	}
}

func readInput(name string, stdin io.Reader) (in policy.Input, err error) {
	from := stdin
	if name != "-" {
		file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO may have no writer
		if err != nil {
			return in, err
		}
		defer file.Close()
		from = file
	}
	from = io.LimitReader(from, maxInput)
	decoder := json.NewDecoder(from)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return in, fmt.Errorf("%s is not an input document (as `facts -o json` prints it): %w", name, err)
	}
	if in.SchemaVersion != policy.SchemaVersion {
		return in, fmt.Errorf("%s has schema_version %d, want %d", name, in.SchemaVersion, policy.SchemaVersion)
	}
	sources, profileSources := world.AllSources()
	if err := engine.CheckFactNames(in, sources, profileSources); err != nil {
		return in, fmt.Errorf("%s: %w", name, err)
	}
	return in, nil
}
