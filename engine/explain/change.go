package explain

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// A Change is one thing that would turn the decision if it were otherwise. Each was tried:
// all rules were evaluated over the situation with that one difference.
type Change struct {
	If     string        `json:"if"`
	Action policy.Action `json:"action"` // what would be decided then
	Code   string        `json:"code"`
	Do     string        `json:"do,omitempty"` // what an operator does for it
}

// An attempt is a change to try.
type attempt struct {
	words   string
	do      string
	in      policy.Input
	without []string // rule packages that do not contribute to the profile
	ignore  bool     // broken rules are ignored
}

// changes tries what could turn the decision from start to anything else, or the other
// way round. When no single change does, all that would be needed together are tried as
// one.
func (s Subject) changes(ctx context.Context, d policy.Decision, facts []Fact) []Change {
	found := []Change{}
	for _, a := range s.attempts(d, facts) {
		if c, ok := s.try(ctx, d, a); ok {
			found = append(found, c)
		}
	}
	if len(found) > 0 || d.Action == policy.ActionStart {
		return found
	}
	all := attempt{words: "all of: its desired state were running", do: "if it should run: hermes-reconcile start --override " + s.Profile, in: s.wanting("running")}
	for _, c := range s.against(d) {
		if !slices.Contains(all.without, c.Rule) {
			all.without = append(all.without, c.Rule)
			all.words += "; " + c.Rule + " did not say otherwise"
		}
	}
	if c, ok := s.try(ctx, d, all); ok {
		found = append(found, c)
	}
	return found
}

// try decides with one difference and reports whether the decision turns. Rules that break
// in the attempt, or are stopped by the end of ctx, prove nothing.
func (s Subject) try(ctx context.Context, d policy.Decision, a attempt) (Change, bool) {
	if ctx.Err() != nil {
		return Change{}, false
	}
	onRuleError := s.OnRuleError
	if a.ignore {
		onRuleError = engine.IgnoreRuleError
	}
	then := engine.Decide(ctx, without{Evaluator: s.Rules, profile: s.Profile, rules: a.without}, a.in, onRuleError).Profiles[s.Profile]
	if ctx.Err() != nil || then.Code == policy.CodeRuleError && d.Code != policy.CodeRuleError {
		return Change{}, false
	}
	turned := (then.Action == policy.ActionStart) != (d.Action == policy.ActionStart)
	return Change{If: a.words, Action: then.Action, Code: then.Code, Do: a.do}, turned
}

// attempts lists the single changes that are worth trying.
func (s Subject) attempts(d policy.Decision, facts []Fact) []attempt {
	in := s.Situation.Input
	list := s.intents(d)
	for _, f := range facts {
		value, isBool := f.Value.(bool)
		if !isBool {
			continue
		}
		if flipped, ok := setFact(in, f.Path, !value); ok {
			list = append(list, attempt{words: fmt.Sprintf("%s were %v", f.Name, !value), in: flipped})
		}
	}
	if d.Code == "not_a_profile" {
		list = append(list, s.markers()...)
	}
	if d.Code == policy.CodeRuleError {
		list = append(list, attempt{words: "the broken rule were fixed and held nothing, or on_rule_error were ignore", in: in, ignore: true,
			do: "hermes-reconcile policy check"})
	}
	for _, c := range s.against(d) {
		a := attempt{words: fmt.Sprintf("%s said nothing of it (waived, or switched off)", c.Rule), in: in, without: []string{c.Rule}}
		switch {
		case c.Set != policy.SetHold:
			a.words = c.Rule + " said nothing of it (switched off)"
		case c.Rule == engine.RuleRestartBudget:
			a.do = "mend what ended it; a changed .env or config.yaml ends the hold, else: hermes-reconcile release " + s.Profile
		default:
			a.do = "if the hold is wrong: hermes-reconcile release " + s.Profile
		}
		if until, err := time.Parse(time.RFC3339, c.Until); err == nil {
			later := in
			later.Now = policy.NewNow(until.Add(time.Second))
			list = append(list, attempt{words: "it were " + c.Until, in: later, do: "wait: it ends by itself at " + c.Until})
		}
		list = append(list, a)
	}
	for _, c := range d.Contributions {
		if c.Set == policy.SetWaive && c.Counts() {
			list = append(list, attempt{words: fmt.Sprintf("%s did not waive %s", c.Rule, c.Waives), in: in, without: []string{c.Rule}})
		}
	}
	return unique(list)
}

// intents are the changes that an operator makes with start and stop.
func (s Subject) intents(d policy.Decision) []attempt {
	state, do := "running", "if it should run: hermes-reconcile start "+s.Profile
	if d.Action == policy.ActionStart {
		state, do = "stopped", "if it should not run: hermes-reconcile stop "+s.Profile
	}
	return []attempt{{words: "its desired state were " + state, do: do, in: s.wanting(state)}}
}

// wanting is the situation with a state file that records a desired state.
func (s Subject) wanting(state string) policy.Input {
	in, _ := setFact(s.Situation.Input, []string{"profiles", s.Profile, "prior_state"}, map[string]any{"status": policy.StatusRecorded, "desired": state})
	return in
}

// markers give a directory each of the files that make it a profile.
func (s Subject) markers() []attempt {
	var list []attempt
	names, _ := s.Rules.Setting("profile_markers").([]any)
	for _, name := range names {
		file := fmt.Sprint(name)
		in, ok := setFact(s.wanting("running"), []string{"profiles", s.Profile, "markers", "files", file}, map[string]any{"kind": "file"})
		if ok {
			list = append(list, attempt{words: fmt.Sprintf("it had a %s, and its desired state were running", file), in: in,
				do: fmt.Sprintf("make %s in its directory, or remove the directory", file)})
		}
	}
	return list
}

// against returns the contributions that make the decision what it is.
func (s Subject) against(d policy.Decision) []policy.Contribution {
	var all []policy.Contribution
	for _, c := range slices.Concat(s.Decisions.Skip, d.Contributions) {
		if c.Set == decidingSet[d.Action] && c.Counts() {
			all = append(all, c)
		}
	}
	return all
}

func unique(list []attempt) []attempt {
	var kept []attempt
	for _, a := range list {
		if !slices.ContainsFunc(kept, func(o attempt) bool { return o.words == a.words }) {
			kept = append(kept, a)
		}
	}
	return kept
}

// without is a policy in which some packages contribute nothing to one profile.
type without struct {
	engine.Evaluator
	profile string
	rules   []string
}

func (w without) Evaluate(ctx context.Context, stage policy.Stage, in policy.Input) policy.Evaluation {
	e := w.Evaluator.Evaluate(ctx, stage, in)
	e.Contributions = slices.DeleteFunc(slices.Clone(e.Contributions), func(c policy.Contribution) bool {
		return (c.Profile == w.profile || c.Profile == "") && slices.Contains(w.rules, c.Rule)
	})
	return e
}

// setFact returns the input document with another value of a fact, or of a part of one. It
// is not ok when the path leads through something that is not an object.
func setFact(in policy.Input, path []string, value any) (policy.Input, bool) {
	switch {
	case len(path) >= 3 && path[0] == "profiles":
		facts, ok := withValue(in.Profiles[path[1]], path[2:], value)
		in.Profiles = maps.Clone(in.Profiles)
		in.Profiles[path[1]] = facts
		return in, ok
	case len(path) >= 2 && path[0] == "container":
		facts, ok := withValue(in.Container, path[1:], value)
		in.Container = facts
		return in, ok
	}
	return in, false
}

func withValue(facts policy.Facts, path []string, value any) (policy.Facts, bool) {
	if facts == nil {
		facts = policy.Facts{}
	}
	text, err := json.Marshal(facts)
	object := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err != nil || decoder.Decode(&object) != nil || !setBelow(object, path, value) {
		return facts, false
	}
	text, err = json.Marshal(object)
	changed := policy.Facts{}
	return changed, err == nil && json.Unmarshal(text, &changed) == nil
}

func setBelow(object map[string]any, path []string, value any) bool {
	for _, key := range path[:len(path)-1] {
		below, ok := object[key].(map[string]any)
		if !ok {
			return false
		}
		object = below
	}
	object[path[len(path)-1]] = value
	return true
}

// advice says what an operator does now, the most likely thing first.
func (s Subject) advice(e *Explanation) []string {
	slot := s.slotOf()
	switch {
	case e.Now.ServedBy != "":
		return []string{fmt.Sprintf("nothing: the gateway of %s serves it, see hermes-reconcile explain %s", e.Now.ServedBy, e.Now.ServedBy)}
	case e.Action != policy.ActionStart:
		do := s.lists(e)
		for _, c := range e.Changes {
			if c.Do != "" {
				do = append(do, c.Do)
			}
		}
		return do
	case slot.RecentDeaths >= policy.LoopDeaths:
		return []string{"if it ends again: " + s.mendThen("restart"), "until then: hermes-reconcile stop " + s.Profile}
	case slot.Up:
		return []string{"nothing: it is up"}
	case slot.ExitCode != nil || len(e.Now.Said) > 0:
		return []string{s.mendThen("start")}
	case len(e.Alarms) > 0:
		return []string{"see the alarm"}
	}
	return []string{"nothing, the next boot starts it; to start it now: hermes-reconcile start " + s.Profile}
}

// lists names the settings that list the profile, of those that the deciding rule reads.
func (s Subject) lists(e *Explanation) []string {
	do := []string{}
	for _, f := range e.Facts {
		names, isList := f.Value.([]any)
		if f.Path[0] == "settings" && f.Rule == e.Rule && isList && slices.Contains(names, any(s.Profile)) {
			do = append(do, fmt.Sprintf("if it should run: take %s out of %s", s.Profile, f.Name))
		}
	}
	return do
}

func (s Subject) mendThen(command string) string {
	return fmt.Sprintf("mend what ended it (see hermes-reconcile logs %s), then: hermes-reconcile %s %s", s.Profile, command, s.Profile)
}
