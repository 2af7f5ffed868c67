package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/policy"
)

type statusFlags struct {
	textfile   string
	watch      bool
	check      bool
	prometheus bool
}

func newStatus() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status [PROFILE...]",
		Short: "Show for every profile what is wanted, what runs, and why; nothing is touched",
		Long: `Decide now as "apply" would, look at the slots and their processes, and show both
side by side: what should be up, what is, and who serves it. What is up is known
by the supervisor's lock and by the process, not by a file alone.

Exit status: 0 shown, 1 the volume cannot be read (slots and processes are shown
all the same), 2 wrong usage, 3 a rule broke. With --check: 1 when something that
is wanted is not up.`,
		Example: `  hermes-reconcile status
  hermes-reconcile status coder --watch
  hermes-reconcile status --check           # a health check: quiet when all is well
  hermes-reconcile status --textfile /var/lib/node_exporter/textfile/hermes.prom`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return status(cmd, f, args)
		},
		ValidArgsFunction: completeProfiles,
	}
	flags := cmd.Flags()
	flags.StringP("output", "o", "", "table, json, yaml or prometheus (default table)")
	flags.StringVar(&f.textfile, "textfile", "", "write Prometheus text to this file, whose name ends in .prom, and print nothing")
	flags.BoolVarP(&f.watch, "watch", "w", false, "draw the table again every 2 s, on a terminal, until q or ctrl-c")
	flags.BoolVar(&f.check, "check", false, "print only what is wanted and not up, and then exit 1")
	return cmd
}

func status(cmd *cobra.Command, f statusFlags, names []string) error {
	c, err := statusConfig(cmd, &f)
	if err != nil {
		return err
	}
	if err := f.agree(c); err != nil {
		return err
	}
	if f.watch {
		return watchStatus(cmd, c, names)
	}
	d, code, err := currentStatus(cmd.Context(), cmd, c, names)
	if err != nil {
		return err
	}
	if f.textfile != "" {
		if err := writeTextfile(f.textfile, d); err != nil {
			return &exitError{exitProfile, err}
		}
	}
	switch {
	case f.check:
		return checkStatus(cmd.OutOrStdout(), d)
	case f.textfile != "":
		return silently(code)
	}
	if err := writeStatus(cmd.OutOrStdout(), c.Output, f.prometheus, d); err != nil {
		return &exitError{exitProfile, err}
	}
	return silently(code)
}

// statusConfig reads the configuration. The word prometheus is one that only this
// command knows.
func statusConfig(cmd *cobra.Command, f *statusFlags) (config, error) {
	flag := cmd.Flags().Lookup("output")
	if flag != nil && flag.Value.String() == "prometheus" {
		f.prometheus = true
		if err := flag.Value.Set("table"); err != nil {
			return config{}, err
		}
	}
	return loadConfig(cmd.Flags(), os.Environ())
}

// agree says which flags exclude each other.
func (f statusFlags) agree(c config) error {
	switch {
	case f.textfile != "" && !strings.HasSuffix(f.textfile, ".prom"):
		return fmt.Errorf("--textfile %s: want a name that ends in .prom, the collector reads no other", f.textfile)
	case f.watch && (f.check || f.textfile != "" || f.prometheus || c.Output != "table"):
		return errors.New("--watch draws a table: leave --check, --textfile and --output out")
	}
	return nil
}

func silently(code int) error {
	if code == exitDone {
		return nil
	}
	return &exitError{code, nil}
}

// currentStatus finds everything out, and which exit status it deserves. A volume
// that cannot be read is part of the result.
func currentStatus(ctx context.Context, cmd *cobra.Command, c config, names []string) (*statusDocument, int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Boot.Deadline)
	defer cancel()
	evaluator, err := loadOrFallBack(c)
	if err != nil {
		return nil, 0, &exitError{exitPolicy, err}
	}
	side, err := openChild(c, policy.PhaseApply)
	if err != nil {
		side = unreachableVolume{err: err}
	}
	defer side.Close()
	s := collect(ctx, c, side, policy.PhaseApply)
	if ctx.Err() != nil && cmd.Context().Err() != nil {
		return nil, 0, &exitError{exitProfile, errors.New("interrupted")}
	}
	decisions := decideOrFallBack(ctx, c, evaluator, s.input)
	noteVolume(&decisions, s)
	noteGone(&decisions, c)
	d := newStatusDocument(c, s, decisions)
	if d.Profiles, err = d.only(names); err != nil {
		return nil, 0, err
	}
	d.keepAlarms(names)
	code := exitDone
	var exit *exitError
	if errors.As(trouble(decisions, s), &exit) {
		code = exit.code
	}
	for _, p := range d.Profiles {
		if code == exitDone && p.Wanted == unknown {
			code = exitProfile
		}
	}
	if !d.Volume.Readable {
		code = exitProfile
	}
	return d, code, nil
}

// An unreachableVolume is the volume's side where there is none.
type unreachableVolume struct {
	remote.Volume
	err error
}

func (v unreachableVolume) Collect(context.Context, func(string, policy.Facts)) (policy.Facts, error) {
	return nil, v.err
}

func (v unreachableVolume) Change(context.Context, engine.Change) (engine.Changed, error) {
	return engine.Changed{}, v.err
}

func (v unreachableVolume) Execute(_ context.Context, operations []policy.Operation) []policy.Result {
	var results []policy.Result
	for _, op := range operations {
		if op.Op == policy.OpSweep || op.Op == policy.OpSeed {
			results = append(results, policy.Result{Operation: op, Err: v.err})
		}
	}
	return results
}

func (v unreachableVolume) AppendLog(context.Context, string, []byte) error { return v.err }

func (v unreachableVolume) Close() {}

// checkStatus prints what is wanted and not up, one line each, and is an error then.
// What is wanted cannot be known without the volume, and that is not healthy.
func checkStatus(w io.Writer, d *statusDocument) error {
	healthy := true
	if !d.Volume.Readable {
		healthy = false
		fmt.Fprintf(w, "what is wanted is not known: %s\n", line(d.Volume.Error))
	}
	for _, name := range d.names() {
		p := d.Profiles[name]
		switch {
		case p.Wanted == wantedUp && p.Now != nowUp:
			healthy = false
			fmt.Fprintf(w, "%s: wanted up (%s), %s\n", line(name), line(p.Code), p.notUp(d.Supervisor))
		case p.Wanted == unknown && p.Code != codeVolume:
			healthy = false
			fmt.Fprintf(w, "%s: what is wanted is not known: %s\n", line(name), line(p.Reason))
		}
	}
	if healthy {
		return nil
	}
	return &exitError{exitProfile, nil}
}

// writeTextfile writes Prometheus text for a collector that may read at any moment.
func writeTextfile(path string, d *statusDocument) error {
	var text bytes.Buffer
	writePrometheus(&text, d)
	// The temporary file is beside it under a name that the collector does not read.
	if err := renameio.WriteFile(path, text.Bytes(), 0o644, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o644)); err != nil {
		return fmt.Errorf("--textfile: %w", err)
	}
	return nil
}
