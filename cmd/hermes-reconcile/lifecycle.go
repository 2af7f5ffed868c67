package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// The intents, as upstream records them in gateway_state.json.
const (
	intentRunning = "running"
	intentStopped = "stopped"
)

// lifecycleCommands are the commands about the life of single profiles. Each changes
// only what its profiles need.
func lifecycleCommands() []*cobra.Command {
	return []*cobra.Command{newRegister(), newUnregister(), newStart(), newStop(), newRestart(), newRelease()}
}

// lifecycle makes a command with the flags that they share.
func lifecycle(use, short, long, example string, f *liveFlags, run func(*cobra.Command, []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use + " PROFILE...", Short: short, Long: long, Example: example,
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := f.who(names); err != nil {
				return err
			}
			slices.Sort(names)
			return run(cmd, slices.Compact(names))
		},
		ValidArgsFunction: completeProfiles,
	}
	f.add(cmd)
	return cmd
}

func newStart() *cobra.Command {
	var f liveFlags
	var override bool
	cmd := lifecycle("start", "Start gateways, and have them started by later boots",
		`Record that the operator wants the gateway to run (desired_state in
gateway_state.json), and start it; a slot that is missing is made. A hold of the
rules refuses that: --override sets it aside, until the hold would have ended or the
container starts again, and says so in the ledger. Only root can do that.`,
		`  hermes-reconcile start coder
  hermes-reconcile start coder --override   # although a rule holds it
  hermes-reconcile start --all --wait=false`, &f,
		func(cmd *cobra.Command, names []string) error {
			return raise(cmd, f, "start", wish{names: names, override: override})
		})
	cmd.Flags().BoolVar(&override, "override", false, "start it although rules hold it")
	cmd.Flags().BoolVar(&f.all, "all", false, "every profile that may start")
	return cmd
}

func newRestart() *cobra.Command {
	var f liveFlags
	cmd := lifecycle("restart", "Stop gateways, wait until they are down, and start them",
		`Record that the operator wants the gateway to run, stop it, wait until it is down,
and start it. It does not count as a death. One that is down is started.`,
		`  hermes-reconcile restart coder
  hermes-reconcile restart coder --timeout 60s --kill`, &f,
		func(cmd *cobra.Command, names []string) error {
			return raise(cmd, f, "restart", wish{names: names, restart: true})
		})
	f.addForce(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "every profile whose gateway is up")
	return cmd
}

func newStop() *cobra.Command {
	var f liveFlags
	cmd := lifecycle("stop", "Stop gateways, and keep later boots from starting them",
		`Record that the operator wants the gateway to be down (desired_state in
gateway_state.json, and a planned-stop marker so that the gateway records an
operator's stop), and stop it. No rule is asked.`,
		`  hermes-reconcile stop coder
  hermes-reconcile stop coder --timeout 60s --kill`, &f,
		func(cmd *cobra.Command, names []string) error { return lower(cmd, f, "stop", names) })
	f.addForce(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "every profile that has a slot")
	return cmd
}

func newUnregister() *cobra.Command {
	var f liveFlags
	cmd := lifecycle("unregister", "Stop gateways and remove their slots",
		`Stop the gateway as "stop" does, and remove its slot with the supervisors. Where the
profile is still there, the next boot or apply makes the slot again, down.`,
		`  hermes-reconcile unregister coder`, &f,
		func(cmd *cobra.Command, names []string) error { return lower(cmd, f, "unregister", names) })
	f.addForce(cmd)
	return cmd
}

func newRegister() *cobra.Command {
	var f liveFlags
	cmd := lifecycle("register", "Make the slots of profiles that came while the container runs",
		`Ask the rules about a profile that was made, imported or installed while the
container runs, and make its slot: up or down, as a boot would. One that has a slot is
left alone.`,
		`  hermes-reconcile register coder
  hermes-reconcile register --all`, &f,
		func(cmd *cobra.Command, names []string) error { return register(cmd, f, names) })
	cmd.Flags().BoolVar(&f.all, "all", false, "every profile that has none")
	return cmd
}

func newRelease() *cobra.Command {
	var f liveFlags
	cmd := lifecycle("release", "End the holds of profiles, and start those that should run",
		`End what holds a profile now: a used-up budget of deaths is forgotten; a hold of a
rule is set aside until it would have ended or the container starts again, which only
root can do. A profile that the operator wants to run is started.`,
		`  hermes-reconcile release coder`, &f,
		func(cmd *cobra.Command, names []string) error {
			return raise(cmd, f, "release", wish{names: names, release: true})
		})
	cmd.Flags().BoolVar(&f.all, "all", false, "every profile that is held")
	return cmd
}

// A wish is what somebody wants of profiles that are to be up.
type wish struct {
	names    []string
	override bool // holds do not count
	restart  bool
	release  bool // end holds; the intent stays as it is
}

// raise brings profiles up, where the rules let it.
func raise(cmd *cobra.Command, f liveFlags, command string, w wish) error {
	r, ctx, err := openLive(cmd, command, f)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.loadRules(); err != nil {
		return err
	}
	if w.override {
		r.command += " --override"
	}
	r.executor.Steady = steady
	s := r.collect(ctx)
	if s.volumeErr != nil {
		return &exitError{exitProfile, fmt.Errorf("the profiles cannot be known: %w", s.volumeErr)}
	}
	d, names, err := r.whom(ctx, s, w, f.all)
	if err != nil {
		return err
	}
	if w.override || w.release {
		if r.liftHolds(ctx, d, names) {
			s = r.collect(ctx)
			r.sayDisbelief(s)
		}
		d, _, err = r.whom(ctx, s, wish{names: names, release: w.release}, false)
		if err != nil {
			return err
		}
	}
	before := readSlots(s.input.Container["s6"])
	going := r.whoHasASlot(r.mayStart(d, names, w), before)
	var recorded []string
	if !w.release {
		recorded = r.recordIntents(ctx, going, intentRunning)
	}
	if w.restart {
		r.executor.Restart = going
	}
	r.makeSo(ctx, decisionsAbout(d, going))
	r.failWithoutSlot(ctx, going)
	r.follow(ctx, recorded, intentRunning)
	now := r.slots(ctx)
	for _, name := range going {
		r.setOutcome(name, raisedWords(before.profiles[name], now.profiles[name], w, d.Profiles[name]))
	}
	return r.finish(ctx, cmd, s, d)
}

// whom decides, and returns the profiles that are meant.
func (r *liveRun) whom(ctx context.Context, s situation, w wish, all bool) (policy.Decisions, []string, error) {
	names := w.names
	if all {
		names = r.everybody(ctx, s, w)
	} else if err := resolve(names, sortedNames(s.input.Profiles), seenSlots{}); err != nil {
		return policy.Decisions{}, nil, err
	}
	wanting := names
	if w.release {
		wanting = nil
	}
	d := r.decide(ctx, s, wanting)
	for _, name := range names {
		p := r.report.Profiles[name]
		p.Code, p.Reason = d.Profiles[name].Code, d.Profiles[name].Reason
		r.report.Profiles[name] = p
	}
	return d, names, nil
}

// everybody is who --all means: those that are up, to restart them; those that are
// held, to release them; those that may start, to start them.
func (r *liveRun) everybody(ctx context.Context, s situation, w wish) []string {
	slots := readSlots(s.input.Container["s6"])
	wanting := sortedNames(s.input.Profiles)
	if w.release {
		wanting = nil
	}
	d := r.decide(ctx, s, wanting)
	return slices.DeleteFunc(sortedNames(s.input.Profiles), func(name string) bool {
		decision := d.Profiles[name]
		switch {
		case w.restart:
			return !slots.profiles[name].Up
		case w.release:
			return decision.Action != policy.ActionDown || len(holdsOn(decision, s.input.Now)) == 0
		}
		return decision.Action != policy.ActionStart
	})
}

// mayStart returns the profiles that the rules let start, and reports the others as
// refused.
func (r *liveRun) mayStart(d policy.Decisions, names []string, w wish) []string {
	var going []string
	for _, name := range names {
		p := d.Profiles[name]
		if w.release && !r.report.Profiles[name].Recorded && len(r.report.Profiles[name].Errors) == 0 {
			r.setOutcome(name, "not held")
			continue
		}
		if p.Action == policy.ActionStart || w.release && p.Action == policy.ActionDown && len(r.report.Profiles[name].Errors) == 0 {
			going = append(going, name)
			continue
		}
		if len(r.report.Profiles[name].Errors) == 0 {
			r.report.fail(name, refusal(d, name))
		}
		r.setOutcome(name, "refused")
	}
	return going
}

// refusal says why a profile must not start, and what would help.
func refusal(d policy.Decisions, name string) error {
	p := d.Profiles[name]
	switch {
	case len(d.Skip) > 0:
		return fmt.Errorf("this container supervises nothing: %s (%s)", d.Skip[0].Reason, d.Skip[0].Location)
	case p.Undecided:
		return errors.New(p.Reason)
	case p.Action == policy.ActionSkip:
		return fmt.Errorf("it gets no slot: %s (%s)", p.Reason, p.Code)
	case p.Code == policy.CodeNoStartRule:
		return fmt.Errorf("no rule starts it: %s", p.Reason)
	}
	for _, c := range p.Contributions {
		if c.Set == policy.SetHold && c.Code == p.Code && c.Reason == p.Reason {
			until := ""
			if c.Until != "" {
				until = " until " + c.Until
			}
			return fmt.Errorf("it is held%s: %s (%s, %s); start it all the same with --override, or end the hold with: hermes-reconcile release %s",
				until, p.Reason, c.Rule, c.Location, name)
		}
	}
	return fmt.Errorf("it is held: %s (%s)", p.Reason, p.Code)
}

// recordIntents writes down what the operator wants. A state file that cannot be
// written does not keep a gateway from being started or stopped; the next boot would
// not know of it, and so it is an error all the same. It returns those that have the
// intent now.
func (r *liveRun) recordIntents(ctx context.Context, names []string, intent string) (recorded []string) {
	for _, name := range names {
		done, err := r.side.Change(ctx, volumeChange{Kind: writeIntent, Profile: name, Intent: intent})
		switch {
		case errors.Is(err, fs.ErrNotExist) && intent == intentStopped:
			continue // a slot whose profile is gone
		case err != nil:
			r.report.fail(name, fmt.Errorf("the intent %q cannot be recorded, and the next boot will not know it: %w", intent, err))
			continue
		case done.Changed:
			p := r.report.Profiles[name]
			p.Recorded = true
			r.report.Profiles[name] = p
		}
		recorded = append(recorded, name)
	}
	return recorded
}

// follow makes up for another command that recorded another intent while this one
// started or stopped: whoever records last is right, and what had failed by then is no
// failure. Those who can take the lock never meet here.
func (r *liveRun) follow(ctx context.Context, names []string, intent string) {
	for _, name := range names {
		wanted := intent
		for round := range rounds {
			now, err := r.side.Change(ctx, volumeChange{Kind: readIntent, Profile: name})
			if err != nil || now.Intent != intentRunning && now.Intent != intentStopped {
				break
			}
			if now.Intent == wanted && (round > 0 || !r.stoppedMeanwhile(ctx, name, wanted)) {
				break
			}
			if _, there := r.slots(ctx).profiles[name]; !there {
				break // somebody removed it, and who makes it anew looks at the intent
			}
			op := policy.Operation{Op: policy.OpBringDown, Profile: name, Slot: slotOf(name), Cause: "somebody recorded that it is to be stopped"}
			if now.Intent == intentRunning {
				op.Op, op.Cause = policy.OpBringUp, "somebody stopped it, and it is recorded that it is to run"
			}
			if now.Intent != wanted {
				r.note(name, fmt.Sprintf("somebody recorded %q meanwhile", now.Intent))
			}
			wanted = now.Intent
			r.report.forget(name)
			r.execute(ctx, []policy.Operation{op})
		}
	}
}

// stoppedMeanwhile says that a gateway which was started ended as one does that somebody
// stops. Upstream's stop records first and stops then, so that its intent may be
// overwritten in between and its letter come last.
func (r *liveRun) stoppedMeanwhile(ctx context.Context, name, intent string) bool {
	errs := r.report.Profiles[name].Errors
	if intent != intentRunning || len(errs) == 0 || slices.ContainsFunc(errs, func(text string) bool { return !strings.HasPrefix(text, "bring-up ") }) {
		return false
	}
	slot := r.slots(ctx).profiles[name]
	return !slot.Up && (slot.Signal == int(syscall.SIGTERM) || slot.ExitCode != nil && *slot.ExitCode == 0)
}

func (r *liveRun) setOutcome(name, outcome string) {
	p := r.report.Profiles[name]
	switch {
	case len(p.Errors) == 0 || outcome == "refused":
	case slices.Contains([]string{"stopped", "started", "restarted", "slot removed"}, outcome):
		outcome += ", with an error"
	default:
		outcome = "failed"
	}
	p.Outcome = outcome
	r.report.Profiles[name] = p
}

func (r *liveRun) note(name, text string) {
	p := r.report.Profiles[name]
	p.Notes = append(p.Notes, text)
	r.report.Profiles[name] = p
}

// raisedWords say what became of a profile that should be up.
func raisedWords(before, now seenSlot, w wish, d policy.Decision) string {
	switch {
	case now.Up && now.Waiting > 0:
		return "starts at " + time.Unix(now.Waiting, 0).UTC().Format(time.RFC3339)
	case w.release && d.Action != policy.ActionStart:
		return "released, and down: " + d.Reason
	case w.release:
		return "released, " + now.now()
	case !before.Up && now.Up:
		return "started"
	case w.restart && before.Up && now.Up && (before.PID != now.PID || before.SinceUnix != now.SinceUnix):
		return "restarted"
	case now.Up:
		return "already up"
	}
	return "asked to start"
}

// lower stops profiles, and for unregister removes their slots. It works without
// rules, and without the volume as far as that goes.
func lower(cmd *cobra.Command, f liveFlags, command string, names []string) error {
	r, ctx, err := openLive(cmd, command, f)
	if err != nil {
		return err
	}
	defer r.close()
	slots := r.slots(ctx)
	if !slots.known() {
		return &exitError{exitProfile, fmt.Errorf("the scan directory %s is %s", r.config.ScanDir, slots.Status)}
	}
	if f.all {
		names = ownSlots(slots)
	} else if err := r.known(ctx, names, slots); err != nil {
		return err
	}
	operations := r.leftovers(ctx)
	var recorded []string
	for _, name := range names {
		r.report.Profiles[name] = liveProfile{}
		slot, there := slots.profiles[name]
		recorded = append(recorded, r.recordIntents(ctx, []string{name}, intentStopped)...)
		if slot.Up {
			r.markStop(ctx, name, slot)
		}
		if op, ok := lowering(command, name, slot, there); ok {
			operations = append(operations, op)
		}
	}
	r.execute(ctx, operations)
	if command == "stop" {
		r.follow(ctx, recorded, intentStopped)
	}
	now := r.slots(ctx)
	var wereDown []string
	for _, name := range names {
		r.setOutcome(name, loweredWords(command, slots, now, name))
		if slot, there := slots.profiles[name]; there && !slot.Up && command == "stop" {
			wereDown = append(wereDown, name)
		}
	}
	r.sayHolds(ctx, wereDown)
	return r.finish(ctx, cmd, r.bare(), r.lowered(names))
}

// known checks that each name is that of a slot or of a profile. A volume that cannot
// be read knows none, and says so.
func (r *liveRun) known(ctx context.Context, names []string, slots seenSlots) error {
	for _, name := range names {
		if _, there := slots.profiles[name]; there {
			continue
		}
		done, err := r.side.Change(ctx, volumeChange{Kind: readIntent, Profile: name})
		switch {
		case done.Missing || errors.Is(err, fs.ErrNotExist):
			return resolve([]string{name}, r.profileNames(ctx), slots)
		case err != nil:
			return &exitError{exitProfile, fmt.Errorf("profile %s has no slot, and whether it is there is not known: %w", name, err)}
		}
	}
	return nil
}

// leftovers removes what interrupted runs left, which may still be supervised. Who
// may not make slots has none.
func (r *liveRun) leftovers(ctx context.Context) []policy.Operation {
	if !r.locked {
		return nil
	}
	operations, err := r.executor.Plan(ctx, policy.Decisions{})
	if err != nil {
		r.report.fail("", err)
	}
	return slices.DeleteFunc(operations, func(op policy.Operation) bool { return op.Op != policy.OpRemove })
}

// lowering is the operation that stops a profile, or removes its slot.
func lowering(command, name string, slot seenSlot, there bool) (policy.Operation, bool) {
	op := policy.Operation{Op: policy.OpBringDown, Profile: name, Slot: slotOf(name), Cause: "asked for"}
	switch {
	case !there:
		return op, false
	case command == "unregister":
		op.Op = policy.OpRemove
	case slot.Supervised == nil || !*slot.Supervised:
		op.Op = policy.OpMarkDown
	}
	return op, true
}

// markStop has the gateway record that an operator stopped it. Without that it only
// takes the stop for one of the container.
func (r *liveRun) markStop(ctx context.Context, name string, slot seenSlot) {
	_, err := r.side.Change(ctx, volumeChange{Kind: plannedStop, Profile: name, PID: slot.PID, StartTime: slot.StartTime})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.report.fail(name, fmt.Errorf("the planned-stop marker: %w", err))
	}
}

// sayHolds adds which of the profiles that were down already are held, as far as the
// rules can be asked.
func (r *liveRun) sayHolds(ctx context.Context, names []string) {
	if len(names) == 0 || r.loadRules() != nil {
		return
	}
	s := r.collect(ctx)
	d := engine.Decide(ctx, r.evaluator, s.input, engine.OnRuleError(r.config.OnRuleError))
	for _, name := range names {
		for _, c := range holdsOn(d.Profiles[name], s.input.Now) {
			r.note(name, fmt.Sprintf("it is held: %s (%s, %s)", c.Reason, c.Rule, c.Location))
		}
	}
}

func loweredWords(command string, before, now seenSlots, name string) string {
	was, there := before.profiles[name]
	is, still := now.profiles[name]
	switch {
	case command == "unregister" && !there:
		return "has no slot"
	case command == "unregister" && !still:
		return "slot removed"
	case command == "unregister":
		return "failed"
	case !there:
		return "has no slot; recorded as stopped"
	case was.Up && !is.Up:
		return "stopped"
	case is.Up:
		return "asked to stop"
	}
	return "already down"
}

// profileNames lists the profiles of the volume, none where it cannot be read.
func (r *liveRun) profileNames(ctx context.Context) []string {
	runs, err := r.side.Runs(ctx, runsQuery{Most: 1})
	if err != nil {
		return nil
	}
	return runs.Names
}

// bare is a situation about which only the time is known.
func (r *liveRun) bare() situation {
	return situation{input: policy.Input{Now: policy.NewNow(time.Now()), Container: policy.Facts{}, Profiles: map[string]policy.Facts{}}}
}

// lowered are decisions that an operator made without the rules.
func (r *liveRun) lowered(names []string) policy.Decisions {
	d := policy.Decisions{SchemaVersion: policy.SchemaVersion, Phase: policy.PhaseApply, Profiles: map[string]policy.Decision{}}
	for _, name := range names {
		d.Profiles[name] = policy.Decision{Action: policy.ActionDown, Code: codeOperator, Reason: "an operator called " + r.command, PriorState: intentStopped, PriorExit: "unknown"}
	}
	return d
}

// codeOperator says that somebody decided, and no rule.
const codeOperator = "operator"

// ownSlots are the profiles that have a slot of ours.
func ownSlots(slots seenSlots) []string {
	return slices.DeleteFunc(sortedNames(slots.profiles), func(name string) bool { return !slots.profiles[name].Ours })
}

func slotOf(profile string) string { return "gateway-" + profile }

// whoHasASlot leaves out the profiles without a slot where this user can make none.
func (r *liveRun) whoHasASlot(names []string, slots seenSlots) []string {
	if r.locked {
		return names
	}
	return slices.DeleteFunc(names, func(name string) bool {
		_, there := slots.profiles[name]
		if !there {
			r.report.fail(name, noSlotFor(name))
			r.setOutcome(name, "refused")
		}
		return !there
	})
}

// failWithoutSlot reports who got no slot, for want of room for example.
func (r *liveRun) failWithoutSlot(ctx context.Context, names []string) {
	now := r.slots(ctx)
	for _, name := range names {
		if _, there := now.profiles[name]; !now.known() || there || len(r.report.Profiles[name].Errors) > 0 {
			continue
		}
		if r.locked {
			r.report.fail(name, errNoSlot)
			continue
		}
		r.report.fail(name, noSlotFor(name)) // root removed it meanwhile
	}
}

// noSlotFor is the error of a user who can make none.
func noSlotFor(name string) error {
	return fmt.Errorf("it has no slot, and this user cannot make one: as root, hermes-reconcile register %s", name)
}

var errNoSlot = errors.New("it has no slot: see alarms and errors")

// register makes the slots of profiles that have none.
func register(cmd *cobra.Command, f liveFlags, names []string) error {
	r, ctx, err := openLive(cmd, "register", f)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.loadRules(); err != nil {
		return err
	}
	s := r.collect(ctx)
	if s.volumeErr != nil {
		return &exitError{exitProfile, fmt.Errorf("the profiles cannot be known: %w", s.volumeErr)}
	}
	d := r.decide(ctx, s, nil)
	slots := readSlots(s.input.Container["s6"])
	if f.all {
		names = slices.DeleteFunc(sortedNames(d.Profiles), func(name string) bool {
			_, there := slots.profiles[name]
			return there || d.Profiles[name].Action == policy.ActionSkip
		})
	} else if err := resolve(names, sortedNames(d.Profiles), seenSlots{}); err != nil {
		return err
	}
	var fresh []string
	for _, name := range names {
		p := d.Profiles[name]
		r.report.Profiles[name] = liveProfile{Code: p.Code, Reason: p.Reason, Outcome: "has its slot"}
		// A slot that nobody supervises is what an interrupted run left.
		if slot, there := slots.profiles[name]; there && slot.now() != nowNobody {
			continue
		}
		if p.Action == policy.ActionSkip {
			r.report.fail(name, refusal(d, name))
			r.setOutcome(name, "refused")
			continue
		}
		fresh = append(fresh, name)
	}
	fresh = r.whoHasASlot(fresh, slots)
	r.makeSo(ctx, decisionsAbout(d, fresh))
	now := r.slots(ctx)
	for _, name := range fresh {
		slot, there := now.profiles[name]
		switch {
		case !there:
			r.report.fail(name, errNoSlot)
			r.setOutcome(name, "failed")
		case d.Profiles[name].Action == policy.ActionStart:
			r.setOutcome(name, "registered, "+slot.now())
		default:
			r.setOutcome(name, "registered, down: "+d.Profiles[name].Reason)
		}
	}
	return r.finish(ctx, cmd, s, d)
}

// decisionsAbout keeps the decisions about the named profiles.
func decisionsAbout(d policy.Decisions, names []string) policy.Decisions {
	some := map[string]policy.Decision{}
	for _, name := range names {
		some[name] = d.Profiles[name]
	}
	d.Profiles = some
	d.Alarms = slices.Clone(d.Alarms)
	return d
}
