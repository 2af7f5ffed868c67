// Package explain says why one profile is up or down, what would change that, and what
// two sets of rules decide differently. Everything is data; printing is for others.
package explain

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// Rules are the compiled rules that decided, and what an explanation asks of them.
type Rules interface {
	engine.Evaluator
	// Reads returns what the rule of a contribution reads, for a profile.
	Reads(c policy.Contribution, profile string) []policy.Read
	// Setting returns the value of a setting, nil when there is none.
	Setting(key string) any
}

// A Subject is all that an explanation is made of.
type Subject struct {
	Profile     string
	Situation   engine.Situation
	Slots       policy.Slots // of the situation
	Decisions   policy.Decisions
	Plan        policy.Plan // of the next boot
	NoPlan      bool        // Plan is not known
	Rules       Rules
	OnRuleError engine.OnRuleError
	Schema      json.RawMessage // of the input document
	Boots       []ledger.Boot   // of the profile, oldest first
	// ReadLog returns the last lines of the gateway's log; nil: they cannot be known.
	ReadLog func() []string
}

// An Explanation is why one profile is up or down. `explain --output json` prints it.
type Explanation struct {
	SchemaVersion policy.Version `json:"schema_version"`
	Profile       string         `json:"profile"`
	Sentence      string         `json:"sentence"`
	Verdict
	Policy policy.Status `json:"policy"`
	Image  string        `json:"image,omitempty"`
	// Contributions are all about the profile, the deciding one first.
	Contributions []policy.Contribution `json:"contributions"`
	Facts         []Fact                `json:"facts"`
	// Changes are single changes of the situation that would turn the decision, as
	// evaluated.
	Changes []Change       `json:"changes"`
	Holds   []Hold         `json:"holds"`
	Alarms  []policy.Alarm `json:"alarms"` // about the profile, the container or the policy
	// Recheck is when rules want to be asked again, about the profile or the container.
	Recheck []policy.Contribution `json:"recheck,omitempty"`
	Now     Now                   `json:"now"`

	LastBoot *Boot    `json:"last_boot,omitempty"`
	LastGood *Boot    `json:"last_good_boot,omitempty"` // the newest that started the profile
	Boots    int      `json:"boots"`                    // that the ledger knows
	Changed  []string `json:"changed_since_last_good_boot"`
	Do       []string `json:"what_to_do"`
}

// A Hold is one hold.
type Hold struct {
	Rule     string `json:"rule"`
	Location string `json:"location"`
	Reason   string `json:"reason"`
	Until    string `json:"until,omitempty"`
	State    string `json:"state"` // "holds", "waived", "over" or "not enforced"
}

// Now is what runs, as far as it can be seen.
type Now struct {
	Slot     policy.Maybe `json:"slot"`
	ServedBy policy.Maybe `json:"served_by"`
	Notes    []string     `json:"notes"`
	// Ended is how often and how the gateway ended since its supervisor started.
	Ended string `json:"ended,omitempty"`
	// Said is what the last gateway recorded of its end or its errors, each with its file,
	// which the agent can write.
	Said []string `json:"said,omitempty"`
	Log  []string `json:"log,omitempty"` // the last lines of a gateway that ended
}

// Of explains the decision about a profile. When ctx ends, the changes that were not tried
// yet are missing.
func Of(ctx context.Context, s Subject) *Explanation {
	d := s.Decisions.Profiles[s.Profile]
	e := &Explanation{
		Profile: s.Profile, Verdict: verdictOf(d, s.Decisions.Skip), Policy: s.Decisions.Policy,
		Image:         policy.ImageVersion(s.Situation.Input.Container),
		Contributions: s.contributions(d), Holds: s.holds(d), Now: s.now(d),
	}
	action := strings.ToUpper(string(d.Action))
	if d.Undecided {
		action = "UNDECIDED"
	}
	e.Sentence = fmt.Sprintf("%s: %s (%s): %s", s.Profile, action, d.Code, d.Reason)
	if deaths := s.slotOf().RecentDeaths; e.Action == policy.ActionStart && deaths >= policy.LoopDeaths {
		e.Sentence += fmt.Sprintf("; but it ended %d times in the last ten minutes", deaths)
	}
	alarms := s.Decisions.Alarms
	if s.getsNoSlot() {
		e.Sentence += "; no slot would be made, see alarms"
		alarms = slices.Concat(alarms, s.Plan.Alarms)
	}
	e.Alarms = s.alarms(alarms)
	e.Recheck = slices.DeleteFunc(slices.Clone(s.Decisions.Recheck), func(c policy.Contribution) bool {
		return c.Profile != "" && c.Profile != s.Profile
	})
	e.Facts = s.facts(e.Contributions)
	e.Changes = s.changes(ctx, d, e.Facts)
	s.history(e)
	e.Do = s.advice(e)
	return e
}

// getsNoSlot reports whether the profile is decided to have a slot, has none, and would
// get none. The reason is in an alarm of the plan.
func (s Subject) getsNoSlot() bool {
	if s.NoPlan || len(s.Decisions.Skip) > 0 || s.Decisions.Profiles[s.Profile].Action == policy.ActionSkip || s.slot() != policy.SlotNone {
		return false
	}
	return !slices.ContainsFunc(s.Plan.Operations, func(op policy.Operation) bool {
		return op.Op == policy.OpPublish && op.Profile == s.Profile
	})
}

// contributions returns those about the profile and the container, the deciding one first.
func (s Subject) contributions(d policy.Decision) []policy.Contribution {
	all := append(append([]policy.Contribution{}, s.Decisions.Skip...), d.Contributions...)
	if by, decided := decidedBy(d, s.Decisions.Skip); decided {
		isBy := func(c policy.Contribution) bool { return c.Rule == by.Rule && c.Compare(by) == 0 }
		all = append([]policy.Contribution{by}, slices.DeleteFunc(all, isBy)...)
	}
	return all
}

func (s Subject) alarms(all []policy.Alarm) []policy.Alarm {
	return slices.DeleteFunc(append([]policy.Alarm{}, all...), func(a policy.Alarm) bool {
		return a.Profile != "" && a.Profile != s.Profile
	})
}

func (s Subject) holds(d policy.Decision) []Hold {
	holds := []Hold{}
	waived := engine.Waived(d.Contributions)
	for _, c := range d.Contributions {
		if c.Set != policy.SetHold {
			continue
		}
		h := Hold{Rule: c.Rule, Location: c.Location, Reason: c.Reason, Until: c.Until, State: "holds"}
		switch {
		case !c.Counts():
			h.State = "not enforced"
		case waived[c.Rule]:
			h.State = "waived"
		case engine.Over(c, s.Situation.Input.Now):
			h.State = "over"
		}
		holds = append(holds, h)
	}
	return holds
}

// now returns what can be seen to run.
func (s Subject) now(d policy.Decision) Now {
	n := Now{Slot: s.slot(), Notes: []string{}}
	if d.Code == "multiplexed" {
		n.ServedBy = policy.RootProfile
	}
	facts := s.Situation.Input.Profiles[s.Profile]
	switch lock := policy.LockOf(facts); {
	case policy.LockHeld(facts):
		n.Notes = append(n.Notes, "its gateway.lock is held: a gateway of it runs, here or in another container")
	case lock.Status != policy.StatusRecorded && lock.Status != policy.StatusMissing:
		n.Notes = append(n.Notes, "whether a gateway of it runs elsewhere is not known: its gateway.lock cannot be looked at: "+cmp.Or(lock.Error, lock.Status, "no fact"))
	}
	for _, name := range s.sharers(facts) {
		n.Notes = append(n.Notes, fmt.Sprintf("has a credential in common with %s: only one of them can use it", name))
	}
	s.ending(&n, facts)
	return n
}

// ending adds how the gateway ended.
func (s Subject) ending(n *Now, facts policy.Facts) {
	slot := s.slotOf()
	if slot.ExitCode != nil {
		n.Ended = fmt.Sprintf("%s since its supervisor started, %d in the last ten minutes; last with %s; %s since %s",
			policy.Count(slot.Deaths, "time"), slot.RecentDeaths, slot.Ending(), slot.Now(), time.Unix(slot.SinceUnix, 0).UTC().Format(time.RFC3339))
	}
	if said := policy.SaidOf(facts); said.Words != "" {
		n.Said = append(n.Said, fmt.Sprintf("%s: %s (%s)", cmp.Or(said.State, "no state"), said.Words, policy.StateFile))
	}
	if l := policy.LifecycleOf(facts); l.ExitCode != nil && *l.ExitCode != 0 {
		n.Said = append(n.Said, fmt.Sprintf("exit code %d at %s: %s (state/gateway.lifecycle.json)",
			*l.ExitCode, time.Unix(l.ExitedAtUnix, 0).UTC().Format(time.RFC3339), cmp.Or(l.ExitReason, "no reason recorded")))
	}
	if s.ReadLog != nil && (slot.RecentDeaths > 0 || !slot.Up && (n.Ended != "" || len(n.Said) > 0)) {
		n.Log = s.ReadLog()
	}
}

func (s Subject) slotOf() policy.Slot {
	return s.Slots.ByProfile()[s.Profile]
}

func (s Subject) slot() policy.Maybe {
	slot, exists := s.Slots.ByProfile()[s.Profile]
	_, now := s.Slots.Words(slot, exists)
	switch {
	case s.Slots.Status != policy.StatusRecorded:
		return policy.Maybe("unknown: the scan directory is " + s.Slots.Status)
	case !exists:
		return policy.SlotNone
	case now == policy.NowUnknown:
		return policy.Maybe("unknown: " + cmp.Or(slot.Error, "it is a "+slot.Kind))
	case slot.Up:
		return policy.Maybe(fmt.Sprintf("up (pid %d)", slot.PID))
	case slot.DownFile:
		return "down, and stays down"
	}
	return "down, and starts with its supervisor"
}

// sharers names the other profiles that have one of the profile's exclusive credentials.
func (s Subject) sharers(facts policy.Facts) []string {
	mine := policy.Fingerprints(facts)
	if len(mine) == 0 {
		return nil
	}
	var names []string
	for name, others := range s.Situation.Input.Profiles {
		if name != s.Profile && slices.ContainsFunc(policy.Fingerprints(others), func(f string) bool { return slices.Contains(mine, f) }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
