package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"hermes-reconcile/engine/explain"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/workbench"
)

// Explanation prints the verdict, its cause and what to do, in at most 15 lines. On a terminal,
// what is longer than a line goes on in the next one.
func (s Screen) Explanation(w io.Writer, e *explain.Explanation) {
	p := explanationOf(e, false)
	p.add("more", "hermes-reconcile explain "+e.Profile+" --verbose")
	p.print(w, s, e.Sentence)
}

// WholeExplanation prints all of an explanation.
func (s Screen) WholeExplanation(w io.Writer, e *explain.Explanation) {
	explanationOf(e, true).print(w, s, e.Sentence)
}

// ExplanationLines are the lines of all of an explanation, each with its heading.
func ExplanationLines(e *explain.Explanation) [][2]string { return explanationOf(e, true).lines }

func explanationOf(e *explain.Explanation, whole bool) *explanationPrinter {
	p := &explanationPrinter{whole: whole}
	p.because(e)
	p.now(e)
	p.facts(e)
	p.changes(e)
	p.history(e)
	for _, c := range e.Recheck {
		p.detail("will look again", fmt.Sprintf("at %s: %s (%s at %s)", c.At, c.Reason, c.Rule, c.Location))
	}
	for i, a := range e.Alarms {
		p.first(i, 1, "alarm", a.Reason)
	}
	for i, do := range e.Do {
		p.first(i, 2, "what to do", do)
	}
	return p
}

// An explanationPrinter collects lines of heading and text.
type explanationPrinter struct {
	whole bool // with the details
	lines [][2]string
}

func (p *explanationPrinter) add(heading, text string) {
	p.lines = append(p.lines, [2]string{heading, text})
}

// detail adds a line that only a whole explanation has.
func (p *explanationPrinter) detail(heading, text string) { p.first(1, 0, heading, text) }

// first adds a line of a list. The others than the first few are details.
func (p *explanationPrinter) first(i, few int, heading, text string) {
	if p.whole || i < few {
		p.add(heading, text)
	}
}

// print prints the lines below a sentence. A heading stands once.
func (p *explanationPrinter) print(w io.Writer, s Screen, sentence string) {
	for _, part := range s.wrap(policy.Line(sentence), 0) {
		fmt.Fprintln(w, part)
	}
	widest := 0
	for _, l := range p.lines {
		widest = max(widest, len(l[0]))
	}
	table, heading := newTable(w), ""
	for _, l := range p.lines {
		shown := l[0]
		if shown == heading {
			shown = ""
		}
		heading = l[0]
		for _, part := range s.wrap(policy.Line(l[1]), len(gap)+widest+len(gap)) {
			table.row(gap+shown, part)
			shown = ""
		}
	}
	table.end()
}

func (p *explanationPrinter) because(e *explain.Explanation) {
	policyLine := fmt.Sprintf("%s, revision %s", e.Policy.Source, e.Policy.Revision)
	if e.Image != "" {
		policyLine += ", image " + e.Image
	}
	p.detail("policy", policyLine)
	if e.Rule != "" {
		p.add("because", fmt.Sprintf("%s at %s", e.Rule, e.Location))
	} else {
		p.add("because", withoutRule(e.Code))
	}
	for _, c := range e.Contributions {
		if c.Rule == e.Rule && c.Location == e.Location && c.Reason == e.Reason {
			continue
		}
		if c.Set == policy.SetSweep || c.Set == policy.SetAlarm {
			continue // have lines of their own
		}
		enforced := ""
		if !c.Counts() {
			enforced = ", not enforced"
		}
		p.detail("also", fmt.Sprintf("%s%s: %s (%s at %s)", c.Set, enforced, c.Reason, c.Rule, c.Location))
	}
}

// withoutRule is the cause of a decision that no rule made.
func withoutRule(code string) string {
	if code == policy.CodeRuleError {
		return "a rule broke or did not see its facts (see alarm), and on_rule_error is hold"
	}
	return "no rule starts it, and what no rule starts stays down"
}

// facts prints what the rules read. In short it is what the decision rests on, unless the
// gateway ended: then that is the matter.
func (p *explanationPrinter) facts(e *explain.Explanation) {
	shown := 0
	for _, f := range e.Facts {
		value, rests, hint := describeValue(f.Name, f.Present, f.Value), f.Rule == e.Rule, ""
		if rests && f.WrittenBy == "agent" {
			hint = "; the agent can write this"
		}
		switch {
		case p.whole:
			p.add("facts", fmt.Sprintf("%s  [%s%s]", value, cmp.Or(f.Description, "no description"), hint))
		case rests && shown < 2 && e.Now.Ended == "" && len(e.Now.Said) == 0:
			p.add("rests on", value+hint)
			shown++
		}
	}
}

// cut keeps the beginning of a long text.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

func (p *explanationPrinter) changes(e *explain.Explanation) {
	heading := "would start if"
	if e.Action == policy.ActionStart {
		heading = "would not if"
	}
	if len(e.Changes) == 0 {
		p.detail(heading, "nothing that was tried changes it")
	}
	for _, c := range e.Changes {
		p.detail(heading, fmt.Sprintf("%s (then %s, %s)", c.If, c.Action, c.Code))
	}
	for _, h := range e.Holds {
		until := ""
		if h.Until != "" {
			until = ", until " + h.Until
		}
		p.detail("held", fmt.Sprintf("%s: %s%s: %s", h.Rule, h.State, until, h.Reason))
	}
}

func (p *explanationPrinter) now(e *explain.Explanation) {
	p.add("slot", string(e.Now.Slot))
	if e.Now.ServedBy != "" {
		p.detail("served by", string(e.Now.ServedBy))
	}
	if e.Now.Ended != "" {
		p.add("ended", e.Now.Ended)
	}
	for i, words := range e.Now.Said {
		p.first(i, 2, "it said", words)
	}
	for i, text := range e.Now.Log {
		p.first(len(e.Now.Log)-1-i, 3, "log", text)
	}
	for i, note := range e.Now.Notes {
		p.first(i, 1, "note", note)
	}
}

func (p *explanationPrinter) history(e *explain.Explanation) {
	if e.LastBoot == nil {
		p.detail("last boot", "the ledger has none")
	} else {
		p.detail("last boot", describeBoot(e.LastBoot))
	}
	if e.LastGood == nil {
		if e.LastBoot != nil {
			p.detail("last good boot", fmt.Sprintf("none: of %s in the ledger, none started it", policy.Count(e.Boots, "boot")))
		}
		return
	}
	p.detail("last good boot", describeBoot(e.LastGood))
	if len(e.Changed) == 0 {
		p.detail("changed since", "nothing that the ledger records")
	} else if !p.whole {
		p.add("changed", fmt.Sprintf("since it was started at %s: %s", e.LastGood.Time, strings.Join(e.Changed, "; ")))
	}
	for _, c := range e.Changed {
		p.detail("changed since", c)
	}
}

func describeBoot(b *explain.Boot) string {
	text := fmt.Sprintf("%s %s (%s), policy revision %s", b.Time, b.Action, b.Code, b.Policy)
	if b.Command != "" {
		text = fmt.Sprintf("%s %s (%s), by %s", b.Time, b.Action, b.Code, b.Command)
	}
	if b.Fallback {
		text += " (a fallback)"
	}
	if b.Image != "" {
		text += ", image " + b.Image
	}
	return text
}

// Match prints what a rule package says of a profile: for each of its rules the reasons, or
// where it stopped, with the values.
func Match(w io.Writer, m workbench.Match) {
	line(w, "%s (%s), for %s:", m.Rule, m.File, m.Profile)
	for _, r := range m.Rules {
		line(w, "  %s at %s %s", r.Set, r.Location, outcomeOf(r))
		for _, s := range r.Stopped {
			word := "false"
			if s.Undefined {
				word = "undefined"
			}
			line(w, "    %-9s %s: %s", word, s.Location, cut(s.Expression, 160))
			for _, v := range s.Values {
				line(w, "              %s", describeValue(v.Name, v.Present, v.Value))
			}
		}
		for _, text := range r.Printed {
			line(w, "    print     %s", text)
		}
	}
}

func outcomeOf(r workbench.RuleMatch) string {
	switch {
	case r.Failure != "":
		return "broke: " + r.Failure
	case len(r.Says) > 0:
		return "applies: " + r.Says[0]
	case len(r.Stopped) > 0:
		return "stopped:"
	}
	return "does not apply, and no expression of it is false"
}

// describeValue says what something has for a value, in short.
func describeValue(name string, present bool, value any) string {
	if !present {
		return name + " is not there"
	}
	text, _ := json.Marshal(value) // it was read from JSON
	return name + " = " + cut(string(text), 160)
}
