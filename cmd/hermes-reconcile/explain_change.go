package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

// A change is one thing that, if it were otherwise, would turn the decision. Each
// was tried: all rules were evaluated over the situation with that one difference.
type change struct {
	If     string        `json:"if"`
	Action policy.Action `json:"action"` // what would be decided then
	Code   string        `json:"code"`
}

// An attempt is a change to try.
type attempt struct {
	words   string
	in      policy.Input
	without []string // rule packages that do not contribute to the profile
	setting string   // that has the profile in its list, or no longer has it
	ignore  bool     // broken rules are passed over
}

// changes tries what could turn the decision from start to anything else, or the
// other way round. Where no single change does it, all that would be needed together
// are tried as one.
func (x *explainer) changes(ctx context.Context, d policy.Decision, facts []usedFact) []change {
	found := []change{}
	attempts := x.attempts(d, facts)
	for _, a := range attempts {
		if c, ok := x.try(ctx, d, a); ok {
			found = append(found, c)
		}
	}
	if len(found) > 0 || d.Action == policy.ActionStart {
		return found
	}
	all := attempt{words: "all of: its desired state were running", in: x.running(x.situation.input)}
	for _, c := range x.against(d) {
		if !slices.Contains(all.without, c.Rule) {
			all.without = append(all.without, c.Rule)
			all.words += "; " + c.Rule + " did not say otherwise"
		}
	}
	if c, ok := x.try(ctx, d, all); ok {
		found = append(found, c)
	}
	return found
}

func (x *explainer) try(ctx context.Context, d policy.Decision, a attempt) (change, bool) {
	onRuleError := engine.OnRuleError(x.config.OnRuleError)
	if a.ignore {
		onRuleError = engine.IgnoreRuleError
	}
	evaluator := x.evaluator
	if a.setting != "" {
		var ok bool
		if evaluator, ok = x.withToggled(a.setting); !ok {
			return change{}, false
		}
	}
	rules := without{Evaluator: evaluator, profile: x.profile, rules: a.without}
	then := engine.Decide(ctx, rules, a.in, onRuleError).Profiles[x.profile]
	turned := (then.Action == policy.ActionStart) != (d.Action == policy.ActionStart)
	return change{If: a.words, Action: then.Action, Code: then.Code}, turned
}

// attempts lists the single changes that are worth trying.
func (x *explainer) attempts(d policy.Decision, facts []usedFact) []attempt {
	in := x.situation.input
	list := x.intents(d)
	for _, f := range facts {
		if f.Path[0] == "settings" {
			list = append(list, x.listed(f)...)
			continue
		}
		value, isBool := f.Value.(bool)
		if !isBool {
			continue
		}
		if flipped, ok := setFact(in, f.Path, !value); ok {
			list = append(list, attempt{words: fmt.Sprintf("%s were %v", f.Name, !value), in: flipped})
		}
	}
	if d.Code == "not_a_profile" {
		list = append(list, x.markers()...)
	}
	if d.Code == policy.CodeRuleError {
		list = append(list, attempt{words: "the broken rule were mended and held nothing, or on_rule_error were ignore", in: in, ignore: true})
	}
	for _, c := range x.against(d) {
		a := attempt{words: fmt.Sprintf("%s said nothing of it (waived, or switched off)", c.Rule), in: in, without: []string{c.Rule}}
		if c.Set == policy.SetSkip || c.Set == policy.SetStart {
			a.words = c.Rule + " said nothing of it (switched off)"
		}
		list = append(list, a)
		if until, err := time.Parse(time.RFC3339, c.Until); err == nil {
			later := in
			later.Now = policy.NewNow(until.Add(time.Second))
			list = append(list, attempt{words: "it were " + c.Until, in: later})
		}
	}
	return unique(append(list, x.waives(d)...))
}

// waives are the exceptions without which a hold would count.
func (x *explainer) waives(d policy.Decision) []attempt {
	var list []attempt
	for _, c := range d.Contributions {
		if c.Set == policy.SetWaive && c.Counts() {
			list = append(list, attempt{words: fmt.Sprintf("%s did not waive %s", c.Rule, c.Waives), in: x.situation.input, without: []string{c.Rule}})
		}
	}
	return list
}

// listed tries a list of names with the profile, or without it where it is there.
func (x *explainer) listed(f usedFact) []attempt {
	names, isList := f.Value.([]any)
	if !isList || x.decisions.Policy.Fallback {
		return nil
	}
	words := f.Name + " had " + x.profile
	if slices.Contains(names, any(x.profile)) {
		words = f.Name + " did not have " + x.profile
	}
	return []attempt{{words: words, in: x.situation.input, setting: f.Path[1]}}
}

// withToggled loads the rules with the profile in the list of a setting, or without
// it where it is there.
func (x *explainer) withToggled(key string) (*rego.Evaluator, bool) {
	names, _ := x.evaluator.Setting(key).([]any)
	toggled := slices.DeleteFunc(slices.Clone(names), func(name any) bool { return name == any(x.profile) })
	if len(toggled) == len(names) {
		toggled = append(toggled, x.profile)
	}
	options, err := policyOptions(x.config)
	if err != nil {
		return nil, false
	}
	options.Settings = maps.Clone(options.Settings)
	if options.Settings == nil {
		options.Settings = map[string]any{}
	}
	options.Settings[key] = toggled
	evaluator, err := rego.Load(layers(x.config), options)
	return evaluator, err == nil
}

// intents are the changes that an operator makes with start and stop.
func (x *explainer) intents(d policy.Decision) []attempt {
	if d.Action != policy.ActionStart {
		return []attempt{{words: "its desired state were running", in: x.running(x.situation.input)}}
	}
	stopped, _ := setFact(x.situation.input, []string{"profiles", x.profile, "prior_state"}, map[string]any{"status": policy.StatusRecorded, "desired": "stopped"})
	return []attempt{{words: "its desired state were stopped", in: stopped}}
}

// running is the situation with a state file that says running.
func (x *explainer) running(in policy.Input) policy.Input {
	changed, _ := setFact(in, []string{"profiles", x.profile, "prior_state"}, map[string]any{"status": policy.StatusRecorded, "desired": "running"})
	return changed
}

// markers give a directory each of the files that make it a profile.
func (x *explainer) markers() []attempt {
	var list []attempt
	names, _ := x.evaluator.Setting("profile_markers").([]any)
	for _, name := range names {
		file := fmt.Sprint(name)
		in, ok := setFact(x.running(x.situation.input), []string{"profiles", x.profile, "markers", "files", file}, map[string]any{"kind": "file"})
		if ok {
			list = append(list, attempt{words: fmt.Sprintf("it had a %s, and its desired state were running", file), in: in})
		}
	}
	return list
}

// against returns the contributions that make the decision what it is.
func (x *explainer) against(d policy.Decision) []policy.Contribution {
	set := map[policy.Action]policy.Set{
		policy.ActionStart: policy.SetStart, policy.ActionDown: policy.SetHold, policy.ActionSkip: policy.SetSkip,
	}[d.Action]
	var all []policy.Contribution
	for _, c := range slices.Concat(x.decisions.Skip, d.Contributions) {
		if c.Set == set && c.Counts() {
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

// without is a policy in which some packages have nothing to say of one profile.
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

// setFact returns the input document with one fact, or a part of one, otherwise. It
// is not ok where the path leads through something that is no object.
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
	facts = maps.Clone(facts)
	if facts == nil {
		facts = policy.Facts{}
	}
	var fact any
	if len(path) == 1 {
		fact = value
	} else {
		object := map[string]any{}
		decoder := json.NewDecoder(strings.NewReader(string(facts[path[0]])))
		decoder.UseNumber()
		if decoder.Decode(&object) != nil || !setBelow(object, path[1:], value) {
			return facts, false
		}
		fact = object
	}
	text, err := json.Marshal(fact)
	facts[path[0]] = text
	return facts, err == nil
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
