package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view/page"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine/explain"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/timeline"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/process"
	"hermes-reconcile/rego/workbench"
)

func newReport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Write one page for a browser: what is wanted, what runs, why, and what happened",
		Long: `Decide as "apply" would now, look at the slots and their processes, read the ledger, and
write all of it as one HTML page: what needs attention, each profile with its reasons, facts
and history, the rules and the settings. The page needs no script, no network
and no other file. It has no secrets: nothing that "facts" does not print. Nothing is touched.
The service shows the same page if watch.listen is set.

Exit status: 0 written, 1 the volume cannot be read (slots and processes are still shown),
2 wrong usage, 3 a rule broke.`,
		Example: `  hermes-reconcile report -o report.html
  docker exec gateway hermes-reconcile report > report.html`,
		Args: cobra.NoArgs,
		RunE: runReport,
	}
	cmd.Flags().StringP("output", "o", "", "write the page to this file; json and yaml print what is on it (default: the page goes to standard output)")
	return cmd
}

func runReport(cmd *cobra.Command, _ []string) error {
	file, _ := cmd.Flags().GetString("output")
	if slices.Contains(config.Words("output"), file) {
		file = ""
	} else if file != "" {
		cli.TakeFormat(cmd, file)
	}
	c, err := cli.LoadConfig(cmd)
	if err != nil {
		return err
	}
	o := reconcile.Options{Phase: policy.PhaseApply, Extent: reconcile.ToPlan, FallBack: true}
	return cli.Look(cmd, c, nil, o, func(ctx context.Context, w reconcile.World, r reconcile.Report) error {
		runs := readLedger(ctx, w.Volume, r, cli.Log(cmd, c), ledger.Query{Most: reportedRuns, Whole: true, Watch: true})
		d := reportOf(c, r, runs)
		if file != "" {
			return cmp.Or(writePage(file, d), cli.Exit(statusCode(r, d.Status), nil))
		}
		return cmp.Or(cli.Show(cmd, c, d, page.Write), cli.Exit(statusCode(r, d.Status), nil))
	})
}

// writePage writes the page to a file that only this user can read. What is there and is no
// file, such as a device, stays.
func writePage(file string, d page.Document) error {
	if info, err := os.Lstat(file); err == nil && !info.Mode().IsRegular() {
		return cli.Failed(fmt.Errorf("--output %s: it is not a regular file: name another one, or redirect standard output", file))
	}
	var text bytes.Buffer
	page.Write(&text, d)
	err := renameio.WriteFile(file, text.Bytes(), 0o600, renameio.WithTempDir(filepath.Dir(file)), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return cli.Failed(fmt.Errorf("--output: %w", err))
	}
	return nil
}

// reportedRuns is how many runs of the ledger a report reads, and how many of the watch.
const reportedRuns = 1000

// reportOf lays out what a look found.
func reportOf(c config.Config, r reconcile.Report, runs ledger.Runs) page.Document {
	state, err := watch.ReadState(c.RunDir)
	d := page.Document{
		Version: currentVersions().String(), Image: policy.ImageVersion(r.Input.Container), BootID: policy.HostOf(r.Input.Container).BootID,
		Status: statusOf(c, r, state, err), Explanations: map[string]*explain.Explanation{}, Settings: map[string]any{}, Notes: append([]string{}, runs.Notes...),
	}
	d.Host, _ = os.Hostname()
	d.Timeline = timeline.New(d.Status, runs.Runs)
	note := func(what string, err error) {
		if err != nil {
			d.Notes = append(d.Notes, fmt.Sprintf("%s: %v", what, err))
		}
	}
	note("why each profile is up or down", explainAll(&d, c, r, runs))
	rules, err := workbench.Packages(world.Layers(c), c.Settings)
	note("the rules", err)
	for i := range rules {
		rules[i].Source = ""
	}
	d.Rules = append([]workbench.Package{}, rules...)
	d.Configuration = slices.DeleteFunc(c.Values(), func(v config.Value) bool { return v.Key == "output" }) // of this command
	return d
}

// explainAll adds the explanation of each profile. What would change a decision is left out: each
// attempt evaluates the rules over all profiles.
func explainAll(d *page.Document, c config.Config, r reconcile.Report, runs ledger.Runs) error {
	decided, ok := r.Evaluator.(*process.Policy)
	if !ok {
		return nil // there is an alarm
	}
	subject, err := subjectOf(c, r, decided)
	if err != nil {
		return err
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for name := range r.Decisions.Profiles {
		subject.Profile, subject.Boots = name, runs.Boots(name)
		d.Explanations[name] = explain.Of(ended, subject)
	}
	d.Settings = subject.Rules.(*explained).Settings()
	return nil
}
