package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hermes-reconcile/policy"
)

// OnRuleError is what a rule package that failed means for the profiles.
type OnRuleError string

// The answers to a failed rule package.
const (
	// HoldOnRuleError starts nothing: the holds of the package are unknown.
	HoldOnRuleError OnRuleError = "hold"
	// IgnoreRuleError decides as if the package contributed nothing.
	IgnoreRuleError OnRuleError = "ignore"
)

// Combine makes one decision for every profile of the input document. It is total: whatever
// the rules contribute, each profile gets a decision. It does not depend on the order of the
// contributions.
//
//	skip of the container > skip of the profile > hold not waived > start > down
//
// A contribution for an unknown profile, or a sweep of a file that the facts do not offer, is
// an alarm and has no other effect. The longest delay wins. Of different environment values,
// restarts or seeds, that of the highest priority wins. Of equal priority, that of the highest
// layer wins, then that of the first rule by name, with an alarm. A seed applies only when the
// facts know of no state file. When a rule failed, nothing starts (with HoldOnRuleError), and on
// a live tree nothing is stopped for it either. A profile whose facts could not be read neither starts nor stops, unless a hold or a skip
// counts without them.
func Combine(in policy.Input, e policy.Evaluation, onRuleError OnRuleError) policy.Decisions {
	d := policy.Decisions{
		SchemaVersion: policy.SchemaVersion,
		Phase:         in.Phase,
		Profiles:      make(map[string]policy.Decision, len(in.Profiles)),
	}
	byProfile := make(map[string][]policy.Contribution, len(in.Profiles))
	for _, c := range slices.SortedFunc(slices.Values(e.Contributions), policy.Contribution.Compare) {
		_, known := in.Profiles[c.Profile]
		switch {
		case c.Set == policy.SetRecheck && (known || c.Profile == ""):
			d.Recheck = append(d.Recheck, c)
		case known:
			byProfile[c.Profile] = append(byProfile[c.Profile], c)
		case c.Profile == "" && c.Set == policy.SetAlarm:
			d.Alarms = append(d.Alarms, alarmOf(c))
		case c.Profile == "" && c.Set == policy.SetSkip && c.Counts():
			d.Skip = append(d.Skip, c)
		case c.Profile == "" && c.Set == policy.SetSkip:
			d.Alarms = append(d.Alarms, policy.Alarm{
				Rule: c.Rule, Code: policy.CodeNotEnforced,
				Reason: fmt.Sprintf("%s would skip the container, and is not enforced: %s (%s)", c.Rule, c.Reason, c.Location),
			})
		default:
			d.Alarms = append(d.Alarms, policy.Alarm{
				Rule: c.Rule, Code: "unknown_profile",
				Reason: fmt.Sprintf("%s contributes %s for %q, which is no profile (%s)", c.Rule, c.Set, c.Profile, c.Location),
			})
		}
	}
	d.Recheck = upcoming(d.Recheck, in.Now)
	var failures []string // of enforced packages
	for _, f := range e.Failures {
		alarm := policy.Alarm{Rule: f.Rule, Code: policy.CodeRuleError, Reason: failureText(f)}
		switch {
		case f.Setting:
			alarm = policy.Alarm{Code: policy.CodeSettings, Reason: "this setting is ignored: " + strings.TrimPrefix(f.Location+": "+f.Error, ": ")}
		case f.NotEnforced:
			alarm.Code = policy.CodeNotEnforced
		case f.Blind:
			alarm.Code = policy.CodeExternal
			fallthrough
		default:
			failures = append(failures, alarm.Reason)
		}
		d.Alarms = append(d.Alarms, alarm)
	}
	slices.Sort(failures)

	for _, name := range slices.Sorted(maps.Keys(in.Profiles)) {
		p := combination{name: name, facts: in.Profiles[name], now: in.Now, contributions: enforced(byProfile[name])}
		decision := p.decide(byProfile[name])
		if len(d.Skip) > 0 {
			decide(&decision, policy.ActionSkip, d.Skip[0], policy.CodeSkipped)
		} else if why, unread := in.Unread[name]; unread {
			leaveUnread(&decision, why)
		} else if len(failures) > 0 && onRuleError == HoldOnRuleError {
			holdFailed(&decision, failures, in.Phase)
		}
		if decision.Action == policy.ActionSkip {
			decision = withoutEffects(decision)
		}
		d.Profiles[name] = decision
		d.Alarms = append(d.Alarms, p.alarms...)
	}
	return d
}

func failureText(f policy.RuleFailure) string {
	if f.Location != "" {
		return fmt.Sprintf("%s: %s: %s", f.Location, f.Rule, policy.Cut(f.Error))
	}
	return fmt.Sprintf("%s: %s", f.Rule, policy.Cut(f.Error))
}

func alarmOf(c policy.Contribution) policy.Alarm {
	return policy.Alarm{Profile: c.Profile, Code: c.Code, Reason: c.Reason, Rule: c.Rule}
}

// enforced leaves out the contributions of warn-only packages, which have no effect.
func enforced(contributions []policy.Contribution) []policy.Contribution {
	hasNoEffect := func(c policy.Contribution) bool { return !c.Counts() }
	if !slices.ContainsFunc(contributions, hasNoEffect) {
		return contributions
	}
	return slices.DeleteFunc(slices.Clone(contributions), hasNoEffect)
}

// A combination makes the decision for one profile.
type combination struct {
	name          string
	facts         policy.Facts
	now           policy.Now
	contributions []policy.Contribution // that are enforced, sorted
	alarms        []policy.Alarm
}

func (p *combination) alarm(c policy.Contribution, code, format string, args ...any) {
	p.alarms = append(p.alarms, policy.Alarm{Profile: p.name, Rule: c.Rule, Code: code, Reason: fmt.Sprintf(format, args...)})
}

// decide returns the decision. all are the contributions to show with it.
func (p *combination) decide(all []policy.Contribution) policy.Decision {
	state := policy.PriorStateOf(p.facts)
	d := policy.Decision{Contributions: all, PriorState: policy.Maybe(state.Word()), PriorExit: policy.Maybe(policy.PriorExit(p.facts))}
	p.decideAction(&d, state)
	for _, c := range all {
		if c.Set == policy.SetAlarm {
			p.alarms = append(p.alarms, alarmOf(c))
		}
	}
	p.addSweeps(&d)
	if d.Action == policy.ActionSkip {
		return d
	}
	for _, c := range p.contributions {
		switch c.Set {
		case policy.SetDelay:
			d.DelaySeconds = max(d.DelaySeconds, c.Seconds)
		case policy.SetEnv:
			if _, done := d.Env[c.Name]; done {
				continue
			}
			if d.Env == nil {
				d.Env = map[string]string{}
			}
			d.Env[c.Name] = p.winner(policy.SetEnv, c.Name).Value
		}
	}
	d.Restart = p.winner(policy.SetRestart, "").Restart
	if c := p.winner(policy.SetSeed, ""); c.State != "" && state.Status == policy.StatusMissing {
		d.Seed = &policy.Seed{State: c.State, MigratedFrom: c.MigratedFrom}
	}
	return d
}

// decideAction applies skip > hold not waived > start > down. When several contributions
// agree, the first by rule gives code and reason.
func (p *combination) decideAction(d *policy.Decision, state policy.PriorState) {
	first := func(set policy.Set) *policy.Contribution {
		i := slices.IndexFunc(p.contributions, func(c policy.Contribution) bool { return c.Set == set })
		if i < 0 {
			return nil
		}
		return &p.contributions[i]
	}
	skip, start, holds := first(policy.SetSkip), first(policy.SetStart), standing(p.contributions, p.now)
	switch {
	case skip != nil:
		decide(d, policy.ActionSkip, *skip, policy.CodeSkipped)
	case len(holds) > 0:
		decide(d, policy.ActionDown, holds[0], "held")
		d.Held = slices.ContainsFunc(holds, func(c policy.Contribution) bool { return c.Rule != RuleRestartBudget && c.Rule != ruleFatalExit })
	case start != nil:
		decide(d, policy.ActionStart, *start, "started")
	default:
		d.Action, d.Code = policy.ActionDown, policy.CodeNoStartRule
		d.Reason = "no rule starts it; " + describe(state)
	}
}

func decide(d *policy.Decision, action policy.Action, c policy.Contribution, code string) {
	if c.Code != "" {
		code = c.Code
	}
	d.Action, d.Code, d.Reason = action, code, c.Reason
}

// withoutEffects returns the decision without what is done to a profile besides its action.
func withoutEffects(d policy.Decision) policy.Decision {
	d.Sweep, d.Identities, d.DelaySeconds, d.Env, d.Restart, d.Seed = nil, nil, 0, nil, nil, nil
	return d
}

// describe tells an operator why a profile without a start is down: its state file may say
// stopped, be missing, or be invalid.
func describe(s policy.PriorState) string {
	switch s.Status {
	case "":
		return "nothing is known of its prior state"
	case policy.StatusRecorded:
		return fmt.Sprintf("its prior state is %q", s.Word())
	case policy.StatusMissing:
		return "it has no state yet"
	}
	return strings.TrimSuffix(fmt.Sprintf("its state file is %s: %s", strings.ReplaceAll(s.Status, "_", " "), s.Error), ": ")
}

// addSweeps adds the files to sweep, sorted. The facts have to offer each of them.
func (p *combination) addSweeps(d *policy.Decision) {
	var offered map[string]policy.RuntimeFile
	for _, c := range p.contributions {
		if c.Set != policy.SetSweep {
			continue
		}
		if offered == nil {
			offered, d.Identities = policy.RuntimeFiles(p.facts), map[string]string{}
		}
		file := offered[c.File]
		if !file.Sweepable {
			p.alarm(c, "sweep_refused", "%s wants to sweep %q, which the facts do not offer (%s)", c.Rule, c.File, c.Location)
			continue
		}
		d.Identities[c.File] = file.Identity
	}
	d.Sweep = slices.Sorted(maps.Keys(d.Identities))
}

// winner returns the contribution of a set that wins, among those with the same name: that of
// the highest priority, then of the highest layer, then the first in order. A different value
// of the same priority raises an alarm. It returns the zero value for none.
func (p *combination) winner(set policy.Set, name string) policy.Contribution {
	var winner policy.Contribution
	top := -float64(policy.MaxPriority)
	for _, c := range p.contributions {
		if c.Set == set && c.Name == name {
			top = max(top, c.Priority)
		}
	}
	for _, c := range p.contributions {
		if c.Set != set || c.Name != name || c.Priority < top {
			continue
		}
		if winner.Set == "" {
			winner = c
			continue
		}
		if winner.Value == c.Value && winner.State == c.State && winner.MigratedFrom == c.MigratedFrom && winner.Restart.Compare(c.Restart) == 0 {
			continue
		}
		loser := c
		if c.Layer > winner.Layer {
			winner, loser = c, winner
		}
		p.alarm(loser, "conflict", "%s and %s set a different %s; that of %s counts", winner.Rule, loser.Rule, strings.TrimSpace(string(set)+" "+name), winner.Rule)
	}
	return winner
}

// Holds returns the holds that keep a profile down: those that are enforced, are not waived,
// and have not ended.
func Holds(d policy.Decision, now policy.Now) []policy.Contribution {
	return standing(enforced(d.Contributions), now)
}

// Waived returns the rules whose holds do not count.
func Waived(contributions []policy.Contribution) map[string]bool {
	waived := map[string]bool{}
	for _, c := range contributions {
		if c.Set == policy.SetWaive && c.Counts() {
			waived[c.Waives] = true
		}
	}
	return waived
}

func standing(contributions []policy.Contribution, now policy.Now) []policy.Contribution {
	waived := Waived(contributions)
	var holds []policy.Contribution
	for _, c := range contributions {
		if c.Set == policy.SetHold && !waived[c.Rule] && !Over(c, now) {
			holds = append(holds, c)
		}
	}
	return holds
}

// Over reports whether a hold has ended by itself. A hold without a time does not end.
func Over(c policy.Contribution, now policy.Now) bool {
	until, err := time.Parse(time.RFC3339, c.Until)
	return err == nil && !time.Unix(0, now.UnixNS).Before(until)
}

// RulePaused is the built-in rule whose holds are root's pauses.
const RulePaused = "reconcile.rules.paused"

// RuleRestartBudget is the built-in rule whose holds are records on the volume, which the
// agent's user may remove.
const RuleRestartBudget = "reconcile.rules.restart_budget"

// ruleFatalExit is the built-in rule whose holds the agent's user may end by starting the
// gateway, as upstream's command does.
const ruleFatalExit = "reconcile.rules.fatal_exit"

// leaveUnread leaves a profile as it is whose facts could not be read. A hold or a skip that
// a rule contributes without them counts.
func leaveUnread(d *policy.Decision, why string) {
	if d.Held || d.Action == policy.ActionSkip {
		return
	}
	*d = withoutEffects(*d)
	d.Action, d.Code, d.Undecided = policy.ActionDown, CodeVolume, true
	d.Reason = "its facts could not be read: " + why
}

// holdFailed keeps a profile from starting when a rule failed. On a live tree it also keeps a
// running gateway from being stopped, because the failed rule might have started it. A hold or
// a skip of another rule still counts.
func holdFailed(d *policy.Decision, failures []string, phase string) {
	if d.Action != policy.ActionStart && d.Code != policy.CodeNoStartRule {
		return
	}
	d.Undecided = phase != policy.PhaseBoot
	d.Held = !d.Undecided
	if d.Action == policy.ActionStart {
		d.Action, d.Code = policy.ActionDown, policy.CodeRuleError
		d.Reason = fmt.Sprintf("would start (%s), but a rule broke or did not see its facts, and its holds are unknown: %s", d.Reason, strings.Join(failures, "; "))
	}
}
