package check

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/topdown"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/example"
)

// try evaluates the rules over the examples and the caller's situations. A rule that
// fails there would fail at a boot.
func (c *checker) try(ctx context.Context, e *rego.Evaluator) {
	examples := example.Situations()
	for i, s := range slices.Concat(examples, c.options.Situations) {
		if ctx.Err() != nil {
			return
		}
		c.tried = append(c.tried, s.Name)
		isExample := i < len(examples)
		first := e.Evaluate(ctx, policy.StageRules, s.Input)
		failures := first.Failures
		c.addContributions(s, isExample, first.Contributions)
		for _, action := range []policy.Action{policy.ActionStart, policy.ActionDown} {
			s.Input.Decisions = example.Decided(s.Input, action)
			after := e.Evaluate(ctx, policy.StageAfter, s.Input)
			failures = append(failures, after.Failures...)
			c.addContributions(s, isExample, after.Contributions)
		}
		slow := false
		for _, f := range failures {
			slow = c.addFailure(ctx, e, s, f) || slow
		}
		if slow {
			return // each further situation would take as long
		}
	}
}

// addContributions reports contributions of the operator's rules about settings that
// they cannot use, and about profiles that the caller's situations do not have.
func (c *checker) addContributions(s example.Situation, isExample bool, contributions []policy.Contribution) {
	for _, said := range contributions {
		if said.Layer == 0 {
			continue
		}
		f := Finding{Col: 1}
		f.File, f.Row = splitLocation(said.Location)
		_, exists := s.Input.Profiles[said.Profile]
		switch {
		case said.Set == policy.SetAlarm && said.Code == "bad_setting":
			f.Code, f.Message = "setting_value", said.Reason
			if key := settingNamed().FindStringSubmatch(said.Reason); key != nil {
				if file, row := c.settingPlace(key[1]); row > 0 {
					f.File, f.Row = file, row
				}
			}
		case said.Profile != "" && !exists && !isExample:
			f.Code, f.Message = "unknown_profile", fmt.Sprintf("%s for %q: %s has no such profile%s", said.Set, said.Profile, s.Name, suggest.Words(said.Profile, sortedKeys(s.Input.Profiles)))
		default:
			continue
		}
		if !slices.ContainsFunc(c.findings, func(g Finding) bool { return g.Code == f.Code && g.Message == f.Message }) {
			c.add(f)
		}
	}
}

// A reason of the code bad_setting names the setting like this.
var settingNamed = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`settings\.([A-Za-z0-9_]+)`) })

// addFailure reports a failure, and whether further situations would take as long.
func (c *checker) addFailure(ctx context.Context, e *rego.Evaluator, s example.Situation, failure policy.RuleFailure) (slow bool) {
	f := Finding{Code: failureCode(failure.Error), Message: fmt.Sprintf("%s breaks on %s: %s", failure.Rule, s.Name, plainFailure(failure.Error))}
	f.File, f.Row = splitLocation(failure.Location)
	if f.File == "" {
		f.File, f.Row = c.place(ctx, e, s, failure.Rule, f.Code == "too_slow")
	}
	f.Col = 1
	said := func(g Finding) bool { return g.File == f.File && g.Row == f.Row && g.Code == f.Code }
	if !slices.ContainsFunc(c.findings, said) { // one situation is enough
		c.add(f)
	}
	return costly(f.Code)
}

func costly(code string) bool { return code == "too_slow" || code == "too_much_memory" }

func failureCode(message string) string {
	for _, k := range []struct{ words, code string }{
		{"eval_conflict_error", "conflict"}, {"eval_builtin_error", "builtin_error"},
		{"not done after", "too_slow"}, {"MiB of memory", "too_much_memory"}, {"member of", "bad_member"},
	} {
		if strings.Contains(message, k.words) {
			return k.code
		}
	}
	return "rule_failed"
}

func plainFailure(message string) string {
	for _, prefix := range []string{"eval_conflict_error: ", "eval_builtin_error: "} {
		message = strings.TrimPrefix(message, prefix)
	}
	return message
}

func splitLocation(location string) (file string, row int) {
	at := strings.LastIndexByte(location, ':')
	if at < 0 {
		return "", 0
	}
	row, err := strconv.Atoi(location[at+1:])
	if err != nil {
		return location, 0
	}
	return location[:at], row
}

// place returns where a package begins. If it was too slow, place evaluates it once more
// and returns where its time ended.
func (c *checker) place(ctx context.Context, e *rego.Evaluator, s example.Situation, rule string, slow bool) (file string, row int) {
	for _, source := range c.sources {
		if source.Package() == rule {
			file, row = source.Name, source.Module.Package.Location.Row
		}
	}
	if !slow {
		return file, row
	}
	watched := &lastPlace{file: file}
	if document, err := rego.NewDocument(s.Input); err == nil {
		e.Observe(ctx, rule, document, func(q *topdown.Query) *topdown.Query { return q.WithQueryTracer(watched) })
	}
	if watched.row > 0 {
		row = watched.row
	}
	return file, row
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
