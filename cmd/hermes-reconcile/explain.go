package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/terminal"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/explain"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/process"
	"hermes-reconcile/rego/workbench"
)

type explainFlags struct {
	verbose     bool
	input, rule string
	when        asOf
}

func newExplain() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain PROFILE",
		Short: "Say why a profile is up or down, and what to do",
		Long: `Decide as a boot would now, and explain the decision: the rule that decided and its
place, what it rests on, how the gateway ended, and what to do. With --verbose: also what
other rules said, the facts that they read and who could have written them, which single
change would turn the decision, what the last boots did, and what has changed since the
last one that started the profile. With --rule: why a rule says nothing of the profile.
Nothing is touched.`,
		Example: `  hermes-reconcile explain coder
  hermes-reconcile explain coder --verbose
  hermes-reconcile explain coder --rule quiet_hours   # where did this rule stop?
  hermes-reconcile explain coder --at "Mon 07:00"
  hermes-reconcile explain coder --input saved.json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeProfiles,
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, args []string) error {
			return runExplain(cmd, c, args[0], f)
		}),
	}
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "print all that is known")
	cmd.Flags().StringVar(&f.rule, "rule", "", "print where the rules of this package stopped matching the profile, with the values, and what they print()")
	cmd.Flags().StringVar(&f.input, "input", "", "explain a saved input document (- is standard input)")
	f.when.add(cmd)
	f.when.addPhase(cmd)
	return cmd
}

func runExplain(cmd *cobra.Command, c config.Config, profile string, f explainFlags) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), c.Boot.Deadline)
	defer cancel()
	options := bootOptions(c, reconcile.ToPlan)
	options.FallBack = true
	var err error
	if options.Input, err = savedInput(cmd, f.input); err != nil {
		return err
	}
	if err := f.when.amend(cmd, &options); err != nil {
		return err
	}
	log := terminal.NewLogger(c, cmd.ErrOrStderr())
	world.AsUpstream(&c, log)
	w, closeWorld, err := world.New(c, options.Phase, log, world.NoLog)
	if err != nil {
		return err
	}
	defer closeWorld()
	r, runs, err := explainedPass(ctx, w, log, options, ledger.Query{Profiles: []string{profile}, Most: explainedBoots, Whole: true})
	if err != nil {
		return err
	}
	if _, err := engine.Only(r.Input.Profiles, []string{profile}); err != nil {
		return cli.PassError(r.OrUncertain(err))
	}
	decided, ok := r.Evaluator.(*process.Policy)
	if !ok {
		return cli.Exit(cli.ExitPolicy, errors.New("no rules decided"))
	}
	if f.rule != "" {
		return showMatch(ctx, cmd, c, decided, r, profile, f.rule)
	}
	subject, err := subjectOf(c, r, decided)
	if err != nil {
		return cli.Exit(cli.ExitPolicy, err)
	}
	subject.Profile, subject.Boots = profile, runs.Boots(profile)
	subject.NoPlan = subject.NoPlan || f.input != ""
	subject.ReadLog = func() []string {
		if f.input != "" {
			return nil
		}
		done, err := w.Volume.Change(ctx, engine.Change{Kind: engine.ReadLog, Profile: profile})
		if err != nil {
			log.Warn("the log of the gateway", "err", err)
		}
		return done.Log
	}
	screen, _ := cli.Screen("never", cmd.OutOrStdout())
	table := screen.Explanation
	if f.verbose {
		table = screen.WholeExplanation
	}
	if err := cli.Show(cmd, c, explain.Of(ctx, subject), table); err != nil {
		return err
	}
	if r.Decisions.Policy.Fallback {
		return cli.Exit(cli.ExitPolicy, nil) // the explanation has an alarm with the reason
	}
	return trouble(r)
}

// explainedBoots is how many passes an explanation knows.
const explainedBoots = 100

// explainedPass looks, and reads the ledger. A ledger that cannot be read leaves out the history,
// and is logged.
func explainedPass(ctx context.Context, w reconcile.World, log *slog.Logger, o reconcile.Options, q ledger.Query) (reconcile.Report, ledger.Runs, error) {
	r, err := reconcile.Pass(ctx, w, o)
	if err != nil {
		return r, ledger.Runs{}, cli.PassError(err)
	}
	if r.PlanErr != nil {
		log.Warn("what a boot would do to slots", "err", r.PlanErr)
	}
	if o.Input != nil {
		return r, ledger.Runs{}, nil
	}
	runs, err := w.Volume.Runs(ctx, q)
	if err != nil {
		log.Warn("the ledger", "err", err)
	}
	for _, note := range runs.Notes {
		log.Warn("the ledger", "err", note)
	}
	return r, runs, nil
}

// subjectOf is what the explanation of any profile of a pass is made of.
func subjectOf(c config.Config, r reconcile.Report, decided *process.Policy) (explain.Subject, error) {
	texts, err := compiled(c, decided, false)
	return explain.Subject{
		Situation: r.Situation, Slots: policy.SlotsOf(r.Input.Container), Decisions: r.Decisions, Plan: r.Plan, NoPlan: r.PlanErr != nil,
		Rules: &explained{Policy: decided, texts: texts}, OnRuleError: engine.OnRuleError(c.OnRuleError), Schema: policy.InputSchema,
	}, err
}

// showMatch prints where the rules of a package stopped for a profile.
func showMatch(ctx context.Context, cmd *cobra.Command, c config.Config, decided *process.Policy, r reconcile.Report, profile, rule string) error {
	texts, err := compiled(c, decided, true)
	if err != nil {
		return cli.Exit(cli.ExitPolicy, err)
	}
	in := r.Input
	in.Decisions = engine.Verdicts(r.Decisions)
	for i, part := range slices.Backward(decided.Parts()) { // copies of rules that broke first
		m, ok, err := workbench.MatchOf(ctx, texts[i], part.Packages, rule, in, profile)
		if err != nil {
			return cli.Exit(cli.ExitPolicy, err)
		}
		if ok {
			return cmp.Or(cli.Show(cmd, c, m, view.Match), trouble(r))
		}
	}
	packages, err := workbench.Packages(world.Layers(c), c.Settings)
	if err != nil {
		return cli.PolicyProblem(err)
	}
	named, err := workbench.Named(packages, []string{rule})
	if err != nil {
		return err
	}
	if named[0].Off {
		return fmt.Errorf("%s is switched off: settings.disabled_rules names it", named[0].Name)
	}
	return fmt.Errorf("%s only has helpers, and says nothing of a profile", named[0].Name)
}
