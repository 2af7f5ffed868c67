package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

type applyFlags struct {
	liveFlags
	restartChanged bool
	dryRun         bool
}

func newApply() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply [PROFILE...]",
		Short: "Make a running container as the rules want it: only what differs is changed",
		Long: `Collect the facts, decide, and change what differs: new slots are made and scanned
for, slots change file by file, gateways are started and stopped as decisions and
the recorded intent say, slots of profiles that are gone are removed. What is right
is left alone, and so are slots that somebody else made. It is safe at any time.

With rules that cannot be used nothing is touched (exit 3). Without --restart-changed
a gateway whose run script changed goes on until its next start.`,
		Example: `  hermes-reconcile apply --dry-run          # what would it change?
  hermes-reconcile apply
  hermes-reconcile apply coder --restart-changed`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return apply(cmd, f, args)
		},
		ValidArgsFunction: completeProfiles,
	}
	f.add(cmd)
	f.addUpFor(cmd)
	f.addForce(cmd)
	cmd.Flags().BoolVar(&f.restartChanged, "restart-changed", false, "also restart gateways that run with an older run script than their slot has")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "print decisions and plan, and touch nothing")
	return cmd
}

func apply(cmd *cobra.Command, f applyFlags, names []string) error {
	f.all, f.look = len(names) == 0, f.dryRun
	if err := f.who(names); err != nil {
		return err
	}
	r, ctx, err := openLive(cmd, "apply", f.liveFlags)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.loadRules(); err != nil {
		return err
	}
	r.executor.RestartChanged = f.restartChanged
	if f.dryRun {
		return r.show(ctx, cmd, names)
	}
	s, d, err := r.converge(ctx, names)
	if err != nil {
		return err
	}
	return r.finish(ctx, cmd, s, d)
}

// show prints what apply would do.
func (r *liveRun) show(ctx context.Context, cmd *cobra.Command, names []string) error {
	s := r.collect(ctx)
	d, err := r.about(r.decide(ctx, s, nil), s, names)
	if err != nil {
		return err
	}
	r.prune(&d, s, names)
	if d.Plan, err = plan(ctx, r.executor, &d); err != nil {
		return &exitError{exitProfile, err}
	}
	if err := writeEval(cmd.OutOrStdout(), r.config.Output, d, true); err != nil {
		return &exitError{exitProfile, err}
	}
	return trouble(d, s)
}

// prune lets slots go whose profile is gone, where that is known.
func (r *liveRun) prune(d *policy.Decisions, s situation, names []string) {
	r.executor.Prune = false
	if len(names) > 0 {
		return
	}
	why, sure := s.gone()
	if r.executor.Prune = sure; sure {
		return
	}
	left := slices.DeleteFunc(ownSlots(readSlots(s.input.Container["s6"])), func(name string) bool { return d.Profiles[name].Action != "" })
	if len(left) > 0 {
		d.Alarms = append(d.Alarms, policy.Alarm{Code: codeVolume, Reason: fmt.Sprintf("%s; slots whose profile is not known are left alone: %s", why, strings.Join(left, ", "))})
	}
}

// rounds bounds how often apply begins again because an intent changed meanwhile.
const rounds = 10

// converge makes it so, and again where somebody who takes no lock, such as
// upstream's own command, changed an intent meanwhile.
func (r *liveRun) converge(ctx context.Context, names []string) (s situation, d policy.Decisions, err error) {
	for range rounds {
		errs, code := len(r.report.Errors), r.report.code
		s = r.collect(ctx)
		if d, err = r.about(r.decide(ctx, s, nil), s, names); err != nil {
			return s, d, err
		}
		r.prune(&d, s, names)
		from := len(r.results)
		r.makeSo(ctx, d)
		if s.volumeErr != nil {
			r.report.fail("", fmt.Errorf("the facts about profiles are not complete: %w", s.volumeErr))
		}
		if !r.overtaken(ctx, s, r.results[from:]) {
			return s, d, nil
		}
		// What failed, failed against somebody who wanted something else.
		r.report.Errors, r.report.code = r.report.Errors[:errs], code
	}
	r.report.fail("", errors.New("intents changed again and again while this ran; apply once more"))
	return s, d, nil
}

// overtaken says that the intent of a profile that was started or stopped is another
// one now.
func (r *liveRun) overtaken(ctx context.Context, s situation, results []policy.Result) bool {
	seen := map[string]bool{}
	for _, result := range results {
		op := result.Operation
		if op.Op != policy.OpBringUp && op.Op != policy.OpBringDown || seen[op.Profile] {
			continue
		}
		seen[op.Profile] = true
		before := factString(s.input.Profiles[op.Profile]["prior_state"], "desired")
		now, err := r.side.Change(ctx, engine.Change{Kind: engine.ReadIntent, Profile: op.Profile})
		if err == nil && now.Intent != before {
			return true
		}
	}
	return false
}

// about keeps the decisions about the named profiles. A slot of ours whose profile is
// gone may be named too.
func (r *liveRun) about(d policy.Decisions, s situation, names []string) (policy.Decisions, error) {
	if len(names) == 0 {
		return d, nil
	}
	slots := readSlots(s.input.Container["s6"])
	if err := resolve(names, sortedNames(d.Profiles), slots); err != nil {
		return d, err
	}
	some := map[string]policy.Decision{}
	for _, name := range names {
		decision, ok := d.Profiles[name]
		if why, sure := s.gone(); !ok && !sure {
			return d, &exitError{exitProfile, fmt.Errorf("profile %s: whether it is gone is not known: %s", name, why)}
		}
		if !ok {
			decision = policy.Decision{Action: policy.ActionSkip, Code: codeNoProfile, Reason: "there is no such profile"}
		}
		some[name] = decision
	}
	d.Profiles = some
	d.Alarms = slices.DeleteFunc(d.Alarms, func(a policy.Alarm) bool { return a.Profile != "" && some[a.Profile].Action == "" })
	return d, nil
}
