package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hermes-reconcile/policy"
)

// A bootView is what the ledger has of one boot for the profile.
type bootView struct {
	Time     string      `json:"time"`
	Command  string      `json:"command,omitempty"` // absent at a boot
	BootID   string      `json:"boot_id,omitempty"`
	Action   string      `json:"action"` // "started", "registered" or "skipped"
	Code     string      `json:"code"`
	Reason   string      `json:"reason"`
	Policy   string      `json:"policy"` // the revision
	Fallback bool        `json:"fallback"`
	Image    string      `json:"image,omitempty"`
	Errors   []string    `json:"errors,omitempty"` // of the profile's operations
	Swept    []sweepView `json:"swept,omitempty"`
}

// history adds what the ledger knows.
func (x *explainer) history(e *explanation) {
	e.Changed = []string{}
	runs := bootsOf(x.lines)
	for _, run := range runs {
		e.LastApply = nil
		if !run.isBoot() {
			e.LastApply = viewOf(run)
			continue
		}
		e.Boots++
		e.LastBoot = viewOf(run)
	}
	good, ok := lastStart(runs)
	if !ok {
		return
	}
	e.LastGood = viewOf(good)
	e.Changed = x.changedSince(good)
}

func viewOf(b bootRecord) *bootView {
	l := b.line()
	v := &bootView{
		Time: l.Time, Command: l.Command, BootID: l.BootID, Action: l.Action, Code: l.Code, Reason: l.Reason,
		Policy: l.Policy.Revision, Fallback: l.Policy.Fallback, Image: l.Image,
	}
	if b.profile == nil && l.Action != actionWords[policy.ActionSkip] {
		v.Action, v.Code, v.Reason = "absent", "absent", "the boot had no such profile"
	}
	for _, op := range l.Operations {
		if op.Error != "" {
			v.Errors = append(v.Errors, fmt.Sprintf("%s: %s", op.Op, op.Error))
		}
		if op.Op == policy.OpSweep && op.Done {
			v.Swept = append(v.Swept, sweepView{File: op.File, Reason: sweepReason(l.Rules, op.File), When: "at the boot of " + l.Time})
		}
	}
	return v
}

// sweepReason is what the rule said that wanted a file removed.
func sweepReason(contributions []policy.Contribution, file string) string {
	for _, c := range contributions {
		if c.Set == policy.SetSweep && c.File == file {
			return c.Reason
		}
	}
	return ""
}

// changedSince names what is otherwise now than at a boot.
func (x *explainer) changedSince(b bootRecord) []string {
	changed := []string{}
	then := b.profile
	differ := func(what, was, is string) {
		if was != is {
			changed = append(changed, fmt.Sprintf("%s %s -> %s", what, cmp.Or(was, "none"), cmp.Or(is, "none")))
		}
	}
	differ("image", then.Image, factString(x.situation.input.Container["image"], "version"))
	differ("policy revision", then.Policy.Revision, x.decisions.Policy.Revision)
	if facts := changedFacts(then.Facts, factDigests(x.situation.input.Profiles[x.profile])); len(facts) > 0 {
		changed = append(changed, "facts of the profile: "+strings.Join(facts, ", "))
	}
	if b.container != nil {
		if facts := changedFacts(b.container.Facts, factDigests(x.situation.input.Container)); len(facts) > 0 {
			changed = append(changed, "facts of the container: "+strings.Join(facts, ", "))
		}
	}
	return changed
}

// changedFacts names the facts that both have and that differ.
func changedFacts(was, is map[string]string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if old, known := was[name]; known && old != is[name] {
			names = append(names, name)
		}
	}
	return names
}

// sweeps lists what the last boot removed, and what the next one would.
func (x *explainer) sweeps(d policy.Decision, last *bootView) []sweepView {
	views := []sweepView{}
	if last != nil {
		views = append(views, last.Swept...)
	}
	for _, file := range d.Sweep {
		views = append(views, sweepView{File: file, Reason: sweepReason(d.Contributions, file), When: "at the next boot"})
	}
	return views
}
