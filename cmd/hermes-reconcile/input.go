package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
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
			return nil, &exitError{exitUsage, err}
		}
		return &in, nil
	case <-cmd.Context().Done():
		return nil, failed(fmt.Errorf("interrupted while reading %s", name))
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
	if err := checkFactNames(in); err != nil {
		return in, fmt.Errorf("%s: %w", name, err)
	}
	return in, nil
}

// checkFactNames refuses facts that no source collects: rules look for the right name and
// would find nothing.
func checkFactNames(in policy.Input) error {
	ofContainer, ofProfile := allSources()
	var container, profile []string
	for _, source := range ofContainer {
		container = append(container, source.Name())
	}
	for _, source := range ofProfile {
		profile = append(profile, source.Name())
	}
	var errs []error
	for _, fact := range slices.Sorted(maps.Keys(in.Container)) {
		errs = append(errs, checkFactName("container", fact, container))
	}
	// A mistake that all profiles share is reported once.
	first := map[string]string{}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(in.Profiles))) {
		for fact := range in.Profiles[name] {
			first[fact] = name
		}
	}
	for _, fact := range slices.Sorted(maps.Keys(first)) {
		errs = append(errs, checkFactName(fmt.Sprintf("profile %q", first[fact]), fact, profile))
	}
	return errors.Join(errs...)
}

func checkFactName(of, fact string, known []string) error {
	if slices.Contains(known, fact) {
		return nil
	}
	return fmt.Errorf("%s: there is no fact %q%s", of, fact, suggest.Words(fact, known))
}
