package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"hermes-reconcile/engine/explain"
	"hermes-reconcile/policy"
)

// Explanation prints an explanation: one sentence, then one heading a line.
func WholeExplanation(w io.Writer, e *explain.Explanation) {
	p := &explanationPrinter{}
	p.because(e)
	p.facts(e)
	p.changes(e)
	p.holds(e)
	p.now(e)
	p.history(e)
	for _, s := range e.Sweep {
		p.add("swept", fmt.Sprintf("%s %s: %s", s.File, s.When, cmp.Or(s.Reason, "no reason recorded")))
	}
	for _, c := range e.Recheck {
		p.add("will look again", fmt.Sprintf("at %s: %s (%s at %s)", c.At, c.Reason, c.Rule, c.Location))
	}
	for _, a := range e.Alarms {
		p.add("alarm", a.Reason)
	}
	line(w, "%s", e.Sentence)
	table := newTable(w)
	heading := ""
	for _, l := range p.lines {
		shown := l[0]
		if shown == heading {
			shown = ""
		}
		heading = l[0]
		table.row("  "+shown, l[1])
	}
	table.end()
	if e.Trace != "" {
		fmt.Fprintf(w, "\n%s", printable(e.Trace))
	}
}

// printable is policy.Line for a text of several lines.
func printable(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = policy.Line(strings.ReplaceAll(cut(l, 400), "\t", "    "))
	}
	return strings.Join(lines, "\n")
}

// An explanationPrinter collects lines of heading and text.
type explanationPrinter struct{ lines [][2]string }

func (p *explanationPrinter) add(heading, text string) {
	p.lines = append(p.lines, [2]string{heading, text})
}

func (p *explanationPrinter) because(e *explain.Explanation) {
	policyLine := fmt.Sprintf("%s, revision %s", e.Policy.Source, e.Policy.Revision)
	if e.Image != "" {
		policyLine += ", image " + e.Image
	}
	p.add("policy", policyLine)
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
		p.add("also", fmt.Sprintf("%s%s: %s (%s at %s)", c.Set, enforced, c.Reason, c.Rule, c.Location))
	}
}

// withoutRule is the cause of a decision that no rule made.
func withoutRule(code string) string {
	if code == policy.CodeRuleError {
		return "a rule broke or did not see its facts (see alarm), and on_rule_error is hold"
	}
	return "no rule starts it, and what no rule starts stays down"
}

func (p *explanationPrinter) facts(e *explain.Explanation) {
	for _, f := range e.Facts {
		value := "is not there"
		if f.Present {
			text, err := json.Marshal(f.Value)
			if err != nil {
				continue
			}
			value = "= " + cut(string(text), 160)
		}
		p.add("facts", fmt.Sprintf("%s %s  [%s; written by: %s]", f.Name, value, cmp.Or(f.Description, "no description"), cmp.Or(f.WrittenBy, "unknown")))
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
		p.add(heading, "nothing that was tried changes it")
	}
	for _, c := range e.Changes {
		p.add(heading, fmt.Sprintf("%s (then %s, %s)", c.If, c.Action, c.Code))
	}
}

func (p *explanationPrinter) holds(e *explain.Explanation) {
	for _, h := range e.Holds {
		until := ""
		if h.Until != "" {
			until = ", until " + h.Until
		}
		p.add("held", fmt.Sprintf("%s: %s%s: %s", h.Rule, h.State, until, h.Reason))
	}
	for _, h := range e.Holds {
		for _, way := range h.Release {
			p.add("release", way)
		}
	}
}

func (p *explanationPrinter) now(e *explain.Explanation) {
	p.add("slot", e.Now.Slot)
	if e.Now.ServedBy != "" {
		p.add("served by", e.Now.ServedBy)
	}
	if e.Now.Ended != "" {
		p.add("ended", e.Now.Ended)
	}
	for _, words := range e.Now.Said {
		p.add("it said", words)
	}
	for _, text := range e.Now.Log {
		p.add("log", text)
	}
	for _, note := range e.Now.Notes {
		p.add("note", note)
	}
}

func (p *explanationPrinter) history(e *explain.Explanation) {
	if e.LastBoot == nil {
		p.add("last boot", "the ledger has none")
	} else {
		p.add("last boot", describeBoot(e.LastBoot))
		for _, err := range e.LastBoot.Errors {
			p.add("last boot", err)
		}
	}
	if e.LastApply != nil {
		p.add("last change", describeBoot(e.LastApply))
	}
	if e.LastGood == nil {
		if e.LastBoot != nil {
			p.add("last good boot", fmt.Sprintf("none: of %s in the ledger, none started it", policy.Count(e.Boots, "boot")))
		}
		return
	}
	p.add("last good boot", describeBoot(e.LastGood))
	if len(e.Changed) == 0 {
		p.add("changed since", "nothing that the ledger records")
	}
	for _, c := range e.Changed {
		p.add("changed since", c)
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

func Explanation(w io.Writer, e *explain.Explanation) { WholeExplanation(w, e) }
