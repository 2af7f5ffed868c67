// Package page shows a whole container as one HTML page, which needs no script and nothing from
// elsewhere.
package page

import (
	"cmp"
	"crypto/sha256"
	_ "embed" // for the frame and the style sheet
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine/explain"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/engine/timeline"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/workbench"
)

// A Document is all that the page shows. `report --output json` prints it.
type Document struct {
	SchemaVersion policy.Version                  `json:"schema_version"`
	Host          string                          `json:"host"`
	Version       string                          `json:"version"` // of this program
	Image         string                          `json:"image,omitempty"`
	BootID        string                          `json:"boot_id,omitempty"`
	Status        *status.Document                `json:"status"`
	Explanations  map[string]*explain.Explanation `json:"explanations"` // without what would change the decisions
	Timeline      timeline.Timeline               `json:"timeline"`
	Rules         []workbench.Package             `json:"rules"`
	Settings      map[string]any                  `json:"settings"` // of the rules that decided
	Configuration []config.Value                  `json:"configuration"`
	Notes         []string                        `json:"notes"` // what could not be found out
}

var (
	//go:embed page.html
	frame string
	//go:embed page.css
	sheet string
)

// Policy is the Content-Security-Policy of the page: its own style sheet and nothing else.
func Policy() string {
	sum := sha256.Sum256([]byte(sheet))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}

// A printer makes the parts of the page.
type printer struct {
	Document
	names []string // of the profiles, trouble first
	wrong map[string][]policy.Alarm
}

// Write writes the page.
func Write(w io.Writer, d Document) {
	p := &printer{Document: d, names: d.Status.Names(), wrong: map[string][]policy.Alarm{}}
	for _, a := range d.Status.Alarms {
		p.wrong[a.Profile] = append(p.wrong[a.Profile], a)
	}
	slices.SortStableFunc(p.names, func(a, b string) int { return cmp.Compare(min(1, len(p.wrong[b])), min(1, len(p.wrong[a]))) })
	var rows []node
	for i, name := range p.names {
		rows = append(rows, p.profile(i, name))
	}
	verdict, attention := p.attention()
	io.WriteString(w, fill(frame, map[string]node{
		"policy": text(Policy()), "style": node(sheet), "host": text(d.Host), "time": text(p.long(d.Status.At)), "total": text(view.Total(d.Status)),
		"verdict": verdict, "attention": attention, "situation": p.situation(), "grid": p.grid(), "axis": p.axis(), "profiles": all(rows...),
		"marks": p.marks(), "rules": p.rules(), "configuration": p.configuration(), "settings": p.settings(),
	}))
}

// A pair is a heading and what it says, each a node or a value that becomes text.
type pair [2]any

// list makes a list of pairs. Those that say nothing are left out. A heading stands once.
func list(pairs ...pair) node {
	var items []node
	var above any
	for _, p := range pairs {
		heading := p[0]
		if heading == above {
			heading = ""
		}
		if above = p[0]; p[1] != "" {
			items = append(items, tag("div", tag("dt", heading), tag("dd", p[1])))
		}
	}
	return tag("dl", all(items...))
}

// attention says whether all is well, and what is wrong, once for each cause.
func (p *printer) attention() (verdict, causes node) {
	var items []node
	for _, c := range p.Status.Skip {
		items = append(items, tag("li", "This container supervises nothing: ", c.Reason, " ", tag("code", c.Rule)))
	}
	if !p.Status.Volume.Readable {
		items = append(items, tag("li", "The volume cannot be read: ", p.Status.Volume.Error))
	}
	for _, c := range view.Causes(p.Status.Alarms) {
		items = append(items, tag("li", p.links(c.Profiles), c.Reason, " ", tag("code", c.Code)))
	}
	for _, note := range p.Notes {
		items = append(items, tag("li", "Not known: ", note))
	}
	if len(items) == 0 {
		return tag("p", class("verdict good"), "✓ Nothing needs attention"), tag("p", "Every gateway that is wanted is up, and no rule, setting or file is a problem.")
	}
	return tag("p", class("verdict bad"), "✕ ", policy.Count(len(items), "thing"), " to look at"), tag("ul", class("causes"), all(items...))
}

// mostLinks is how many profiles of one cause are named.
const mostLinks = 10

func (p *printer) links(names []string) node {
	var links []node
	for _, name := range names[:min(len(names), mostLinks)] {
		links = append(links, tag("a", attr{"href", fmt.Sprint("#p", slices.Index(p.names, name))}, name), text(" "))
	}
	if len(names) > mostLinks {
		links = append(links, text(fmt.Sprintf("and %d more ", len(names)-mostLinks)))
	}
	return tag("b", all(links...))
}

// situation is where the profiles are, and what decides.
func (p *printer) situation() node {
	s, boot, owner := p.Status, "the ledger has none", ""
	if n := len(p.Timeline.Boots); n > 0 {
		boot = p.long(p.Timeline.Boots[n-1]) + ", " + status.Spell(s.At.Sub(p.Timeline.Boots[n-1])) + " ago"
	}
	if s.Volume.Owner != nil {
		owner = s.Volume.Owner.Describe(s.At)
	}
	return list(pair{"Image", p.Image}, pair{"Last boot", boot}, pair{"Rules", s.Policy.Source + ", revision " + s.Policy.Revision}, pair{"Watch", s.Watch.Describe(s.At)},
		pair{"Scan directory", s.Supervisor.ScanDir}, pair{"Owner", owner}, pair{"Program", p.Version}, pair{"Kernel boot", p.BootID})
}

// profile is a row that opens.
func (p *printer) profile(i int, name string) node {
	s, spans := p.Status.Profiles[name], p.Timeline.Profiles[name]
	state := timeline.Unknown
	if len(spans) > 0 {
		state = spans[len(spans)-1].State
	}
	of := looks[state]
	classes, mark := "profile "+of.class, node("")
	if len(p.wrong[name]) > 0 {
		classes, mark = classes+" wrong", tag("span", class("mark"), "needs attention")
	}
	about := strings.TrimSuffix(s.DescribeNow(), policy.NowUnknown)
	if s.Wanted == status.WantedUp && s.Now != policy.NowUp {
		about += ", wanted up"
	}
	if !s.Since.IsZero() {
		about += ", since " + status.Spell(p.Status.At.Sub(s.Since))
	}
	if !s.Next.IsZero() {
		about += "; " + p.short(s.Next) + ": " + s.NextReason
	}
	summary := tag("span", tag("b", name), " ", tag("span", class("badge "+of.class), of.sign, " ", state), " ", mark, " ", tag("code", s.Code), tag("small", about))
	return tag("details", class(classes), tag("summary", tag("span", class("row"), summary, p.picture(name))),
		tag("div", attr{"id", fmt.Sprint("p", i)}, class("more"), p.explained(name), tag("h3", "History"), p.history(spans)))
}

// explained is why a profile is up or down.
func (p *printer) explained(name string) node {
	e := p.Explanations[name]
	if e == nil {
		return tag("p", p.Status.Profiles[name].Reason)
	}
	pairs := []pair{}
	for _, a := range p.wrong[name] {
		pairs = append(pairs, pair{"attention", a.Reason})
	}
	for _, l := range view.ExplanationLines(e) {
		if !strings.HasPrefix(l[0], "would ") { // nothing was tried
			pairs = append(pairs, pair{l[0], l[1]})
		}
	}
	return all(tag("p", class("sentence"), e.Sentence), list(pairs...))
}

// mostSpans is how much history a profile has in words.
const mostSpans = 15

// history is the picture of a profile in words, the newest first.
func (p *printer) history(spans []timeline.Span) node {
	var pairs []pair
	for _, s := range slices.Backward(spans[max(0, len(spans)-mostSpans):]) {
		words := fmt.Sprintf("%s %s for %s: %s, %s", looks[s.State].sign, s.State, status.Spell(s.End.Sub(s.Start)), s.Code, s.Reason)
		if s.By != "" {
			words += " (" + s.By + ")"
		}
		pairs = append(pairs, pair{p.long(s.Start), words})
	}
	return list(pairs...)
}

func (p *printer) marks() node {
	var pairs []pair
	for _, m := range slices.Backward(p.Timeline.Marks) {
		pairs = append(pairs, pair{p.long(m.Time), fmt.Sprintf("%s %s -> %s", m.What, m.Was, m.Is)})
	}
	return list(pairs...)
}

// rules lists the rules, the operator's own first.
func (p *printer) rules() node {
	var own, builtIn []pair
	recipes := workbench.RecipeNames()
	for _, r := range p.Rules {
		words := fmt.Sprintf("%s: %s", cmp.Or(r.Title, "no title"), r.Layer)
		if slices.Contains(recipes, r.Name[strings.LastIndexByte(r.Name, '.')+1:]) {
			words += ", a recipe"
		}
		if r.Off {
			words += ", switched off"
		}
		if line := (pair{tag("code", r.Name), words}); r.Layer == workbench.BuiltIn {
			builtIn = append(builtIn, line)
		} else {
			own = append(own, line)
		}
	}
	return list(append(own, builtIn...)...)
}

// configuration lists what differs from the defaults.
func (p *printer) configuration() node {
	var pairs []pair
	for _, v := range p.Configuration {
		if v.Source != "default" {
			pairs = append(pairs, pair{tag("code", v.Key), all(tag("code", view.ValueText(v.Value)), text(", "+v.Source+" "+v.Location))})
		}
	}
	return list(pairs...)
}

func (p *printer) settings() node {
	var pairs []pair
	for _, name := range slices.Sorted(maps.Keys(p.Settings)) {
		pairs = append(pairs, pair{tag("code", name), tag("code", view.ValueText(p.Settings[name]))})
	}
	return list(pairs...)
}
