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

// many is a number of profiles that few homes have.
const many = 500

// try evaluates the rules over the examples and the caller's situations. A rule that
// fails there would fail at a boot. Many profiles alone make some values leave their range.
func (c *checker) try(ctx context.Context, e *rego.Evaluator) {
	shipped := example.Situations()
	all := slices.Concat(shipped, c.options.Situations)
	shown := 0 // what rules print in all of them would be too much
	if len(all) > len(shipped) {
		shown = len(all) - 1
	}
	for i, s := range all {
		if ctx.Err() != nil {
			return
		}
		c.tried = append(c.tried, s.Name)
		said := evaluate(ctx, e, s.Input, policy.ActionStart, policy.ActionDown)
		if i == shown && c.options.Printed != nil {
			for _, text := range said.Printed {
				fmt.Fprintln(c.options.Printed, policy.Line(text))
			}
		}
		for _, contribution := range said.Contributions {
			c.addContribution(s, i < len(shipped), contribution)
		}
		for _, failure := range said.Failures {
			c.addFailure(ctx, e, s, failure)
		}
		if c.has("too_slow", "") || c.has("too_much_memory", "") {
			return // another situation would take too long
		}
	}
	for _, said := range evaluate(ctx, e, example.Home(many), policy.ActionStart).Contributions {
		if said.Set == policy.SetAlarm && said.Code == policy.CodeOutOfRange {
			c.addSaid(said, "range_with_many", "with %d profiles: %s", many, withoutPlace(said))
		}
	}
}

// evaluate evaluates the rules of both stages: the second stage once for each action, which
// every profile then has.
func evaluate(ctx context.Context, e *rego.Evaluator, in policy.Input, actions ...policy.Action) policy.Evaluation {
	all := e.Evaluate(ctx, policy.StageRules, in)
	for _, action := range actions {
		in.Decisions = example.Decided(in, action)
		after := e.Evaluate(ctx, policy.StageAfter, in)
		all.Contributions = append(all.Contributions, after.Contributions...)
		all.Failures = append(all.Failures, after.Failures...)
		all.Printed = append(all.Printed, after.Printed...)
	}
	return all
}

// addContribution reports a contribution about a setting that the rule cannot use, or
// about a profile that the caller's situation does not have.
func (c *checker) addContribution(s example.Situation, isExample bool, said policy.Contribution) {
	_, exists := s.Input.Profiles[said.Profile]
	switch {
	case said.Set == policy.SetAlarm && said.Code == policy.CodeOutOfRange:
		c.addSaid(said, "bad_member", "%s on %s: %s", said.Rule, s.Name, withoutPlace(said))
	case said.Set == policy.SetAlarm && said.Code == "bad_setting":
		c.addSaid(said, "setting_value", "%s", said.Reason)
	case strings.Contains(said.Reason, "%!"):
		c.addSaid(said, "sprintf_verb", "on %s the reason is %q", s.Name, said.Reason)
	case said.Profile != "" && !exists && !isExample:
		c.addSaid(said, "unknown_profile", "%s for %q: %s has no such profile%s", said.Set, said.Profile, s.Name, suggest.Words(said.Profile, sortedKeys(s.Input.Profiles)))
	}
}

// withoutPlace is the reason of an alarm that begins with its place.
func withoutPlace(said policy.Contribution) string {
	return strings.TrimPrefix(said.Reason, said.Location+": ")
}

// addSaid adds a finding about a contribution of the operator's rules, at the setting that an
// alarm is about, else at the rule.
func (c *checker) addSaid(said policy.Contribution, code, format string, args ...any) {
	f := Finding{Code: code, Message: fmt.Sprintf(format, args...), Col: 1}
	f.File, f.Row = splitLocation(said.Location)
	if key := settingNamed().FindStringSubmatch(said.Reason); code == "setting_value" && key != nil {
		if file, row := c.rules.Place(key[1]); row > 0 {
			f.File, f.Row = file, row
		}
	}
	if said.Layer > 0 {
		c.addOnce(f)
	}
}

// addOnce adds a finding unless its place has one of that kind: one situation is enough.
func (c *checker) addOnce(f Finding) {
	isMember := func(code string) bool { return strings.Contains(code, "member") || code == "range_with_many" }
	said := func(g Finding) bool {
		same := g.Code == f.Code && (f.Code != "unknown_profile" || g.Message == f.Message)
		return g.File == f.File && g.Row == f.Row && (same || isMember(g.Code) && isMember(f.Code))
	}
	if !slices.ContainsFunc(c.findings, said) {
		c.add(f)
	}
}

// settingNamed finds the setting in the reason of an alarm, for example settings.quiet.
var settingNamed = policy.Pattern(`settings\.([A-Za-z0-9_]+)`)

// addFailure reports a failure.
func (c *checker) addFailure(ctx context.Context, e *rego.Evaluator, s example.Situation, failure policy.RuleFailure) {
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
	c.addOnce(f)
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
