package check

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/topdown"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/example"
)

// try evaluates the rules over the examples and the caller's situations. A rule that
// fails there would fail at a boot.
func (c *checker) try(ctx context.Context, e *rego.Evaluator) {
	shipped := example.Situations()
	for i, s := range slices.Concat(shipped, c.options.Situations) {
		if c.tryOne(ctx, e, s, i < len(shipped)) {
			return
		}
	}
	c.tryMany(ctx, e)
}

// many is a number of profiles that few homes have.
const many = 500

// tryMany finds values that leave their range only because there are many profiles.
func (c *checker) tryMany(ctx context.Context, e *rego.Evaluator) {
	if !c.numbers {
		return
	}
	in := example.Home(many)
	all := e.Evaluate(ctx, policy.StageRules, in)
	in.Decisions = example.Decided(in, policy.ActionStart)
	for _, said := range append(all.Contributions, e.Evaluate(ctx, policy.StageAfter, in).Contributions...) {
		f := Finding{Code: "range_with_many", Col: 1}
		f.File, f.Row = splitLocation(said.Location)
		if said.Layer > 0 && said.Set == policy.SetAlarm && said.Code == policy.CodeOutOfRange {
			f.Message = fmt.Sprintf("with %d profiles: %s", many, strings.TrimPrefix(said.Reason, said.Location+": "))
			c.addOnce(f, func(g Finding) bool {
				return g.File == f.File && g.Row == f.Row && (g.Code == f.Code || g.Code == "bad_member")
			})
		}
	}
}

// tryOne evaluates the rules of both stages over one situation: the second stage once
// with every profile started, and once with every profile down. Enough means that
// another situation would take too long.
func (c *checker) tryOne(ctx context.Context, e *rego.Evaluator, s example.Situation, isExample bool) (enough bool) {
	if ctx.Err() != nil {
		return true
	}
	c.tried = append(c.tried, s.Name)
	all := e.Evaluate(ctx, policy.StageRules, s.Input)
	printed := all.Printed
	for _, action := range []policy.Action{policy.ActionStart, policy.ActionDown} {
		s.Input.Decisions = example.Decided(s.Input, action)
		after := e.Evaluate(ctx, policy.StageAfter, s.Input)
		all.Contributions = append(all.Contributions, after.Contributions...)
		all.Failures = append(all.Failures, after.Failures...)
		printed = append(printed, after.Printed...)
	}
	c.show(s, printed)
	for _, contribution := range all.Contributions {
		if contribution.Layer > 0 {
			c.addContribution(s, isExample, contribution)
		}
	}
	for _, failure := range all.Failures {
		code := c.addFailure(ctx, e, s, failure)
		enough = enough || code == "too_slow" || code == "too_much_memory"
	}
	return enough
}

// show prints what the rules print in one situation: in all of them it would be too much.
func (c *checker) show(s example.Situation, printed []string) {
	shown := example.Situations()[0].Name
	if n := len(c.options.Situations); n > 0 {
		shown = c.options.Situations[n-1].Name
	}
	if c.options.Printed == nil || s.Name != shown {
		return
	}
	for _, line := range printed {
		fmt.Fprintln(c.options.Printed, policy.Line(line))
	}
}

// addContribution reports a contribution about a setting that the rule cannot use, or
// about a profile that the caller's situation does not have.
func (c *checker) addContribution(s example.Situation, isExample bool, said policy.Contribution) {
	f := Finding{Col: 1}
	f.File, f.Row = splitLocation(said.Location)
	_, exists := s.Input.Profiles[said.Profile]
	switch {
	case said.Set == policy.SetAlarm && said.Code == policy.CodeOutOfRange:
		f.Code, f.Message = "bad_member", fmt.Sprintf("%s on %s: %s", said.Rule, s.Name, strings.TrimPrefix(said.Reason, said.Location+": "))
	case said.Set == policy.SetAlarm && said.Code == "bad_setting":
		f.Code, f.Message = "setting_value", said.Reason
		if key := settingNamed().FindStringSubmatch(said.Reason); key != nil {
			if file, row := c.rules.Place(key[1]); row > 0 {
				f.File, f.Row = file, row
			}
		}
	case strings.Contains(said.Reason, "%!"):
		f.Code, f.Message = "sprintf_verb", fmt.Sprintf("on %s the reason is %q", s.Name, said.Reason)
	case said.Profile != "" && !exists && !isExample:
		f.Code, f.Message = "unknown_profile", fmt.Sprintf("%s for %q: %s has no such profile%s", said.Set, said.Profile, s.Name, suggest.Words(said.Profile, sortedKeys(s.Input.Profiles)))
	default:
		return
	}
	c.addOnce(f, func(g Finding) bool {
		return g.Code == f.Code && (g.Message == f.Message || f.Code == "sprintf_verb" && g.File == f.File && g.Row == f.Row)
	})
}

// addOnce adds a finding unless there is an equal one: one situation is enough.
func (c *checker) addOnce(f Finding, equal func(Finding) bool) {
	if !slices.ContainsFunc(c.findings, equal) {
		c.add(f)
	}
}

// settingNamed finds the setting in the reason of an alarm, for example settings.quiet.
var settingNamed = policy.Pattern(`settings\.([A-Za-z0-9_]+)`)

// addFailure reports a failure and returns its code.
func (c *checker) addFailure(ctx context.Context, e *rego.Evaluator, s example.Situation, failure policy.RuleFailure) string {
	f := Finding{Code: "rule_failed", Col: 1}
	text := failure.Error
	for _, k := range failureCodes {
		if strings.Contains(text, k.words) {
			f.Code, text = k.code, strings.TrimPrefix(text, k.words+": ")
			break
		}
	}
	f.Message = fmt.Sprintf("%s fails on %s: %s", failure.Rule, s.Name, text)
	f.File, f.Row = splitLocation(failure.Location)
	if f.File == "" {
		f.File, f.Row = c.place(ctx, e, s, failure.Rule, f.Code == "too_slow")
	}
	c.addOnce(f, func(g Finding) bool {
		said := g.Code == f.Code || f.Code == "bad_member" && strings.HasPrefix(g.Code, "member_")
		return said && g.File == f.File && g.Row == f.Row
	})
	return f.Code
}

var failureCodes = []struct{ words, code string }{
	{"eval_conflict_error", "conflict"}, {"eval_builtin_error", "builtin_error"},
	{"not done after", "too_slow"}, {"MiB of memory", "too_much_memory"}, {"member of", "bad_member"},
}

// splitLocation splits file:row.
func splitLocation(location string) (file string, row int) {
	at := max(0, strings.LastIndexByte(location, ':'))
	row, _ = strconv.Atoi(strings.TrimPrefix(location[at:], ":"))
	return location[:at], row
}

// place returns where a package begins. If it was too slow, place evaluates it once more
// and returns where its time ended.
func (c *checker) place(ctx context.Context, e *rego.Evaluator, s example.Situation, rule string, slow bool) (file string, row int) {
	for _, source := range c.rules.Sources {
		if source.Package() == rule {
			file, row = source.Name, source.Module.Package.Location.Row
		}
	}
	document, err := rego.NewDocument(s.Input)
	if err != nil || !slow {
		return file, row
	}
	last := &lastPlace{file, row}
	e.Observe(ctx, rule, document, func(q *topdown.Query) *topdown.Query { return q.WithQueryTracer(last) })
	return file, last.row
}

// lastPlace is a tracer that keeps the row of the last expression of a file.
type lastPlace struct {
	file string
	row  int
}

func (*lastPlace) Enabled() bool               { return true }
func (*lastPlace) Config() topdown.TraceConfig { return topdown.TraceConfig{} }
func (l *lastPlace) TraceEvent(e topdown.Event) {
	if e.Location != nil && e.Location.File == l.file && e.Op == topdown.EvalOp {
		l.row = e.Location.Row
	}
}
