package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/volume"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

type evalFlags struct {
	dryRun       bool
	input        string
	detailedExit bool
	compare      bool
}

func newEval() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval [PROFILE...]",
		Short: "Decide and print what would be done, and why; nothing is touched",
		Example: `  hermes-reconcile eval                     # what would the next boot decide?
  hermes-reconcile eval --dry-run           # and what would it change?
  hermes-reconcile eval --policy ./mine     # with the rules of another directory
  hermes-reconcile eval --policy ./mine --compare   # and which profiles does that change?
  hermes-reconcile facts -o json > saved.json
  hermes-reconcile eval --input saved.json  # decide on saved facts`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return eval(cmd, f, args)
		},
		ValidArgsFunction: completeProfiles,
	}
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "also print the plan, computed against the scan directory")
	cmd.Flags().StringVar(&f.input, "input", "", "decide on a saved input document (- is standard input)")
	cmd.Flags().BoolVar(&f.detailedExit, "detailed-exitcode", false, "with --dry-run or --compare: exit 0 when there is nothing to do or no difference, 2 when there is, 1 on an error")
	cmd.Flags().BoolVar(&f.compare, "compare", false, "print only what the rules of --policy decide otherwise than the present ones, which are those of the configuration")
	return cmd
}

func eval(cmd *cobra.Command, f evalFlags, profiles []string) error {
	run := runEval
	if f.compare {
		run = runCompare
	}
	if f.compare && f.dryRun {
		return errors.New("--compare is about decisions and makes no plan: leave --dry-run out")
	}
	if !f.detailedExit {
		_, err := run(cmd, f, profiles)
		return err
	}
	if !f.dryRun && !f.compare {
		return errors.New("--detailed-exitcode goes with --dry-run or --compare: else there is nothing to tell apart")
	}
	changes, err := run(cmd, f, profiles)
	if err != nil {
		var silent *exitError
		if errors.As(err, &silent) && silent.err == nil {
			err = nil
		}
		return &exitError{1, err}
	}
	if changes {
		return &exitError{exitChanges, nil}
	}
	return nil
}

// exitChanges is the exit status of eval --detailed-exitcode when there is something
// to do, or a difference.
const exitChanges = 2

// runEval prints the decisions, and says whether the plan has operations.
func runEval(cmd *cobra.Command, f evalFlags, profiles []string) (changes bool, err error) {
	c, err := loadConfig(cmd.Flags(), os.Environ())
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), c.Boot.Deadline)
	defer cancel()
	evaluator, err := loadPolicy(c)
	if err != nil {
		return false, err
	}
	s, err := evalSituation(ctx, c, f.input, cmd.InOrStdin())
	if err != nil {
		return false, err
	}
	decisions := engine.Decide(ctx, evaluator, s.input, engine.OnRuleError(c.OnRuleError))
	noteVolume(&decisions, s)
	if f.dryRun {
		executor, err := newExecutor(c, newLogger(c, cmd.ErrOrStderr()))
		if err != nil {
			return false, err
		}
		_, known := s.gone()
		executor.Prune = known && f.input == ""
		if decisions.Plan, err = plan(ctx, executor, &decisions); err != nil {
			return false, &exitError{exitProfile, err}
		}
	}
	if decisions.Profiles, err = only(decisions.Profiles, profiles); err != nil {
		return false, err
	}
	decisions.Plan = planOf(decisions, profiles)
	if err := writeEval(cmd.OutOrStdout(), c.Output, decisions, f.dryRun); err != nil {
		return false, &exitError{exitProfile, err}
	}
	return len(decisions.Plan) > 0, trouble(decisions, s)
}

// trouble is the exit status of an evaluation that went through and yet did not
// go well; what it was has been printed.
func trouble(d policy.Decisions, s situation) error {
	broken := func(a policy.Alarm) bool { return a.Code == policy.CodeRuleError }
	switch {
	case slices.ContainsFunc(d.Alarms, broken):
		return &exitError{exitPolicy, nil}
	case s.volumeErr != nil:
		return &exitError{exitProfile, nil}
	}
	return nil
}

// loadPolicy loads the rules; a mistake in them ends a command that only looks.
func loadPolicy(c config) (*rego.Evaluator, error) {
	options, err := policyOptions(c)
	if err != nil {
		return nil, &exitError{exitPolicy, err}
	}
	evaluator, err := rego.Load(layers(c), options)
	if err != nil {
		return nil, &exitError{exitPolicy, fmt.Errorf("these rules cannot be used:\n%w", err)}
	}
	return evaluator, nil
}

func evalSituation(ctx context.Context, c config, inputFile string, stdin io.Reader) (situation, error) {
	if inputFile != "" {
		in, err := readInput(inputFile, stdin)
		return situation{input: in}, err
	}
	side, err := openSide(c, policy.PhaseBoot)
	if err != nil {
		return situation{}, &exitError{exitProfile, err}
	}
	defer side.Close()
	return collect(ctx, c, side, policy.PhaseBoot), nil
}

// noteVolume shows that not every profile may be there.
func noteVolume(d *policy.Decisions, s situation) {
	if s.volumeErr != nil {
		d.Alarms = append(d.Alarms, policy.Alarm{Code: "volume", Reason: fmt.Sprintf("the facts about profiles are not complete: %v", s.volumeErr)})
	} else if why := s.unlisted(); why != "" {
		d.Alarms = append(d.Alarms, policy.Alarm{Code: "volume", Reason: why})
	}
}

// plan asks the executors for their operations. What the scan directory's
// executor leaves alone becomes an alarm.
func plan(ctx context.Context, slots slotExecutor, d *policy.Decisions) ([]policy.Operation, error) {
	operations, err := engine.Plan(ctx, []engine.Executor{slots, &volume.Executor{}}, *d)
	d.Alarms = append(d.Alarms, slots.Alarms()...)
	return operations, err
}

// A slotExecutor can say what it left alone.
type slotExecutor interface {
	engine.Executor
	Alarms() []policy.Alarm
}

// planOf keeps the operations of the profiles that were asked for.
func planOf(d policy.Decisions, profiles []string) []policy.Operation {
	if len(profiles) == 0 {
		return d.Plan
	}
	var mine []policy.Operation
	for _, op := range d.Plan {
		if _, ok := d.Profiles[op.Profile]; ok {
			mine = append(mine, op)
		}
	}
	return mine
}

func writeEval(w io.Writer, format string, d policy.Decisions, dryRun bool) error {
	if format != "table" {
		return writeDocument(w, format, d)
	}
	if err := writeDecisions(w, d); err != nil || !dryRun {
		return err
	}
	return writePlan(w, d.Plan)
}
