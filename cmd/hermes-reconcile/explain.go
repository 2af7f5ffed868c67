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
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/explain"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/process"
	"hermes-reconcile/rego/workbench"
)

type explainFlags struct {
	verbose bool
	rule    string
	when    asOf
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
		Args: cobra.ExactArgs(1),
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, args []string) error {
			return runExplain(cmd, c, args[0], f)
		}),
	}
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "print all that is known")
	cmd.Flags().StringVar(&f.rule, "rule", "", "print where the rules of this package stopped matching the profile, with the values, and what they print()")
	f.when.addSituation(cmd)
	return cmd
}

func runExplain(cmd *cobra.Command, c config.Config, profile string, f explainFlags) error {
	options := bootOptions(c, reconcile.ToPlan)
	options.FallBack = true
	if err := f.when.amend(cmd, &options); err != nil {
		return err
	}
	return cli.Look(cmd, c, nil, options, func(ctx context.Context, w reconcile.World, r reconcile.Report) error {
		return explainProfile(ctx, cmd, c, w, r, profile, f)
	})
}

func explainProfile(ctx context.Context, cmd *cobra.Command, c config.Config, w reconcile.World, r reconcile.Report, profile string, f explainFlags) error {
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
	subject.Profile = profile
	if f.when.input != "" {
		subject.NoPlan = true
	} else {
		log := cli.Log(cmd, c)
		subject.Boots = readLedger(ctx, w.Volume, r, log, ledger.Query{Profiles: []string{profile}, Most: explainedBoots, Whole: true}).Boots(profile)
		subject.ReadLog = func() []string {
			done, err := w.Volume.Change(ctx, engine.Change{Kind: engine.ReadLog, Profile: profile})
			if err != nil {
				log.Warn("the log of the gateway", "err", err)
			}
			return done.Log
		}
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

// readLedger reads the ledger after a look. What cannot be read leaves out the history, and is logged.
func readLedger(ctx context.Context, volume reconcile.Volume, r reconcile.Report, log *slog.Logger, q ledger.Query) ledger.Runs {
	if r.PlanErr != nil {
		log.Warn("what a boot would do to slots", "err", r.PlanErr)
	}
	runs, err := volume.Runs(ctx, q)
	if err != nil {
		log.Warn("the ledger", "err", err)
	}
	for _, note := range runs.Notes {
		log.Warn("the ledger", "err", note)
	}
	return runs
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
		return cli.Exit(cli.ExitPolicy, err)
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

// compiled compiles in this process the rules that decided in the other one, one
// evaluator a part. For a trace, print() in rules is compiled too.
func compiled(c config.Config, decided *process.Policy, tracing bool) (all []*rego.Evaluator, err error) {
	options := world.PolicyOptions(c)
	options.Trace = tracing
	for _, part := range decided.Parts() {
		e, err := world.Sources(c).Load(part.Choice, options)
		if e == nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// explained are rules that decided, for an explanation. Only the process for the rules
// evaluates them.
type explained struct {
	*process.Policy
	texts []*rego.Evaluator // the same rules, to be read
}

// Settings are all settings, without secrets.
func (e *explained) Settings() map[string]any {
	settings, _ := config.WithoutSecrets("", e.texts[0].Settings()).(map[string]any)
	return settings
}

func (e *explained) Setting(key string) any { return e.Settings()[key] }

func (e *explained) Reads(c policy.Contribution, profile string) []policy.Read {
	var reads []policy.Read
	for _, text := range e.texts {
		reads = append(reads, text.Reads(c, profile)...)
	}
	return reads
}
