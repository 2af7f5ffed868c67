package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/wait"
)

// listening is how often the words of the gateways are looked at.
const listening = 100 * time.Millisecond

// heed waits, until a time, for what the gateways say that were started: a gateway knows only
// after some seconds whether it works. Those that fail are problems. A gateway that speaks
// nowhere in this home counts as started once it has stayed up.
func (p *pass) heed(ctx context.Context, names []string, before map[string]policy.Slot, until time.Time) {
	if p.Execute.NoWait {
		return
	}
	started := map[string]int{} // pids
	slots := p.Slots.Slots(ctx).ByProfile()
	for _, name := range names {
		slot := slots[name]
		switch {
		case len(p.report.Profiles[name].Errors) > 0:
			p.quote(ctx, name)
		case slot.Now() == policy.NowUp && slot.PID != before[name].PID:
			started[name] = slot.PID
		}
	}
	defer wait.For(ctx, policy.Few(slices.Sorted(maps.Keys(started)))+" to say whether it works", p.Execute.Wait)()
	for speak := p.gatewaysSpeak(); len(started) > 0; {
		slots = p.Slots.Slots(ctx).ByProfile()
		for name, pid := range started {
			said, err := p.Volume.Change(ctx, engine.Change{Kind: engine.ReadSaid, Profile: name})
			if err != nil {
				p.report.note(name, fmt.Sprintf("what it says of itself cannot be read: %v", err))
			}
			if err != nil || p.judge(name, pid, slots[name], said.Said, speak, time.Now().After(until)) {
				delete(started, name)
			}
		}
		select {
		case <-time.After(listening):
		case <-ctx.Done():
			return
		}
	}
}

// judge reports whether no more is to be waited for, and notes what went wrong with a gateway
// that was started with a pid.
func (p *pass) judge(name string, pid int, slot policy.Slot, said policy.Said, speak, late bool) bool {
	own := said.PID == int64(pid)
	switch {
	case own && said.State == "running":
	case own && said.State == "degraded":
		p.report.note(name, "it says degraded: "+said.Words)
	case own && said.State == startupFailed:
		p.problem(name, fmt.Errorf("the gateway says %s: %s", said.State, said.Words))
	case slot.PID == 0 && slot.ExitCode == nil && !late:
		return false // the supervisor has not recorded the end yet
	case slot.PID != pid:
		p.problem(name, fmt.Errorf("the gateway ended with %s before it said that it runs", slot.Ending()))
	case !own && !speak:
	case !late:
		return false
	case own:
		p.problem(name, fmt.Errorf("the gateway is up (pid %d), and after %v it still says %q", pid, p.Execute.Wait, said.State))
	default:
		p.report.note(name, fmt.Sprintf("it has not said within %v whether it works", p.Execute.Wait))
	}
	return true
}

// startupFailed is what a gateway says that cannot work.
const startupFailed = "startup_failed"

// quote adds to the errors of a start what the gateway said, if it said so now.
func (p *pass) quote(ctx context.Context, name string) {
	done, err := p.Volume.Change(ctx, engine.Change{Kind: engine.ReadSaid, Profile: name})
	if said := done.Said; err == nil && said.State == startupFailed && said.PID != policy.SaidOf(p.report.Input.Profiles[name]).PID {
		p.problem(name, fmt.Errorf("the gateway says %s: %s", said.State, said.Words))
	}
}

// gatewaysSpeak reports whether the gateways of this home are known to record their state:
// one of them has. Other programs than upstream's do not.
func (p *pass) gatewaysSpeak() bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(p.report.Input.Profiles)), func(facts policy.Facts) bool {
		return policy.SaidOf(facts).PID != 0
	})
}
