package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/bundle"
	"hermes-reconcile/rego/process"
)

// rollOut notes whether a bundle waits, else until when it is on trial. The rollout of the
// configuration wins over that of the bundle.
func (p *poller) rollOut(next *policy.Bundle, labels map[string]string) (err error) {
	r := p.c.Bundles.Rollout
	if len(r.Steps) == 0 && r.Soak == "" && next.Rollout != nil {
		r = *next.Rollout
	}
	now := time.Now().UTC().Truncate(time.Second)
	if next.Waiting, err = r.Wait(*next, labels, now); next.Waiting == nil && r.SoakTime() > 0 {
		next.OnTrial = now.Add(r.SoakTime())
	}
	return err
}

// wasRolledBack reports whether a bundle did harm here, and no operator lets it in again.
func (p *poller) wasRolledBack(b policy.Bundle) bool {
	back := p.state.RolledBack
	isIt := back != nil && (b.Digest == back.Digest || b.Revision != "" && b.Revision == back.Revision)
	return isIt && !bundle.Accepted(p.c.StateDir, back.Revision, false)
}

// running returns the profiles whose gateways run, and did not die lately.
func running(in policy.Input) (names []string) {
	for name, slot := range policy.SlotsOf(in.Container).ByProfile() {
		if slot.Up && slot.RecentDeaths == 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// hasTrial reports whether a bundle is on trial.
func (w *watcher) hasTrial() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, b := range w.bundles {
		if time.Now().Before(b.OnTrial) {
			return true
		}
	}
	return false
}

// judge rolls back the bundles on trial that did harm, as a pass shows.
func (w *watcher) judge(ctx context.Context, r reconcile.Report) {
	if !w.hasTrial() {
		return
	}
	c := w.current()
	for _, source := range c.Policy {
		if !policy.IsFetched(source) {
			continue
		}
		present, err := bundle.ReadCopy(c.StateDir, source, bundle.InForce)
		decided := r.Decisions.Policy.Fallback || slices.ContainsFunc(r.Decisions.Policy.Bundles, func(b policy.Bundle) bool {
			return b.Source == present.Source && b.Digest == present.Digest
		})
		if err != nil || !decided || !time.Now().Before(present.OnTrial) {
			continue
		}
		why := harm(r, present.Up, time.Now(), func() (policy.Decisions, error) {
			before, err := decideBefore(ctx, c, source, r.Input)
			if err != nil {
				w.Log.Error("the revision before does not decide, so this one stays", "source", present.Source, "err", err)
			}
			return before, err
		})
		if why != "" && ctx.Err() == nil {
			w.rollBack(ctx, c, source, present, why)
		}
	}
}

func (w *watcher) rollBack(ctx context.Context, c config.Config, source string, bad bundle.Fetched, why string) {
	w.putting.Lock()
	defer w.putting.Unlock()
	before, err := bundle.RollBack(c.StateDir, source, bad.Digest, policy.Cut(policy.Line(why)), time.Now())
	if err != nil {
		w.Log.Error("the bundle does harm, and cannot be rolled back", "source", bad.Source, "revision", bad.Name(), "why", why, "err", err)
		return
	}
	w.Log.Warn("the bundle is rolled back", "source", bad.Source, "revision", bad.Name(), "to", before.Name(), "why", why)
	w.tell(before)
	w.askAnew()
	go w.trigger(ctx, watch.Trigger{Kind: watch.Bundles, Key: before.Digest}) // this pass is not over
}

// decideBefore decides on facts with the copy before.
func decideBefore(ctx context.Context, c config.Config, source string, in policy.Input) (policy.Decisions, error) {
	copied, err := bundle.ReadCopy(c.StateDir, source, bundle.Before)
	if err != nil {
		return policy.Decisions{}, err
	}
	rules := &process.Rules{Configure: func() process.Settings {
		s := world.RulesSettings(c)
		s.Instead = map[string]bundle.Fetched{source: copied}
		return s
	}}
	defer rules.Close()
	ctx, cancel := context.WithTimeout(ctx, c.Boot.Deadline)
	defer cancel()
	e, err := rules.Load(ctx)
	if err != nil {
		return policy.Decisions{}, err
	}
	return engine.Decide(ctx, e, in, engine.OnRuleError(c.OnRuleError)), ctx.Err()
}

// settled is how long a gateway that starts anew may be down.
const settled = 10 * time.Second

// harm says what a revision on trial does to the profiles that were up, or is empty. What
// happens with the revision before as well is not its harm: a profile that an operator stops,
// a hold that begins.
func harm(r reconcile.Report, up []string, now time.Time, before func() (policy.Decisions, error)) string {
	slots := r.Slots.ByProfile()
	var stopped []string
	for _, name := range up {
		slot, decision := slots[name], r.Decisions.Profiles[name]
		isDown := !slot.Up && slot.SinceUnix > 0 && slot.WaitingUntilUnix == 0 && now.Sub(time.Unix(slot.SinceUnix, 0)) >= settled
		switch {
		case decision.Undecided || decision.Action == "": // not known, or gone
		case decision.Action != policy.ActionStart:
			stopped = append(stopped, name)
		case isDown || slot.RecentDeaths >= policy.LoopDeaths:
			return name + " was up, and its gateway does not stay up: " + slot.Ending()
		}
	}
	broken := reconcile.Broken(r.Decisions)
	if r.Decisions.Policy.Fallback {
		broken = r.Decisions.Policy.Errors
	}
	if len(broken)+len(stopped) == 0 {
		return ""
	}
	old, err := before()
	if err != nil {
		return ""
	}
	if len(broken) > 0 && len(reconcile.Broken(old)) == 0 {
		return "a rule breaks: " + strings.Join(broken, "; ")
	}
	for _, name := range stopped {
		if old.Profiles[name].Action == policy.ActionStart {
			d := r.Decisions.Profiles[name]
			return fmt.Sprintf("%s was up, and would not be any more: %s: %s", name, d.Code, d.Reason)
		}
	}
	return ""
}
