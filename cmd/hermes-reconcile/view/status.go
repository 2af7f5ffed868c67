package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
)

// Status prints what wants attention, the profiles, and a summary.
func (s Screen) Status(w io.Writer, d *status.Document) {
	if trouble := s.Trouble(d); trouble != "" {
		fmt.Fprintf(w, "%s\n", trouble)
	}
	fmt.Fprintf(w, "%s\n%s", s.Table(d, d.Names()), s.Summary(d))
}

// Trouble is what wants attention: a line for each cause, none when all is well.
func (s Screen) Trouble(d *status.Document) string {
	var w strings.Builder
	s.skip(&w, d.Skip)
	s.policy(&w, policy.Decisions{Policy: d.Policy, Alarms: d.Alarms})
	return w.String()
}

// Summary is about the container. Its last line has the total.
func (s Screen) Summary(d *status.Document) string {
	var w strings.Builder
	s.say(&w, "WATCH", "%s", d.Watch.Describe(d.At))
	for _, b := range d.Policy.Bundles {
		s.say(&w, "BUNDLE", "%s", s.bundle(b, d.At))
	}
	if d.Volume.Owner != nil {
		s.say(&w, "OWNER", "%s", d.Volume.Owner.Describe(d.At))
	}
	s.say(&w, "TOTAL", "%s", Total(d))
	return w.String()
}

// bundle describes a bundle at a time.
func (s Screen) bundle(b policy.Bundle, now time.Time) string {
	text := b.Source + ": revision " + wordOrNone(b.Revision)
	for _, at := range []struct {
		what string
		time time.Time
	}{{"in force", b.Activated}, {"asked", b.Checked}} {
		if !at.time.IsZero() {
			text += ", " + at.what + " " + s.when(at.time, now)
		}
	}
	if now.Before(b.OnTrial) {
		text += ", on trial for " + status.Spell(b.OnTrial.Sub(now))
	}
	if next := b.Waiting; next != nil {
		text += "; revision " + policy.Word(next.Revision) + " waits: " + next.For
		if next.Until.After(now) {
			text += ", and its turn is in " + status.Spell(next.Until.Sub(now))
		}
	}
	if b.RolledBack != nil {
		text += "; revision " + policy.Word(b.RolledBack.Revision) + " was rolled back " + s.when(b.RolledBack.At, now)
	}
	if b.Error != "" {
		text += "; not fetched: " + b.Error
	}
	return text
}

// The columns that a narrow terminal does not have, the least important first.
var dispensable = []string{"SLOT", "SERVED BY", "RESTARTS", "SINCE"}

// Table has a line for its head, and one for each of these profiles.
func (s Screen) Table(d *status.Document, names []string) string {
	var w strings.Builder
	table := newTable(&w, "PROFILE", "WANTED", "NOW", "SLOT", "SINCE", "RESTARTS", "REASON", "SERVED BY", "NEXT")
	for _, name := range names {
		p := d.Profiles[name]
		next := strings.TrimSuffix(s.when(p.Next, d.At)+", "+p.NextReason, ", ")
		table.row(name, p.Wanted, p.DescribeNow(), p.Slot, s.when(p.Since, d.At), p.Restarts, p.Code, p.ServedBy, next)
	}
	if s.Width > 0 && !s.Wide {
		table.fit(s.Width, dispensable...)
	}
	for i, name := range names {
		now := &table.rows[i+1][2]
		*now = s.paint(colourOf(d.Profiles[name]), *now)
	}
	table.end()
	return w.String()
}

// when writes a time as a person would say it.
func (s Screen) when(at, now time.Time) string {
	switch wait := at.Sub(now); {
	case at.IsZero():
		return policy.NowNothing
	case s.Wide:
		return at.UTC().Format(time.RFC3339)
	case wait < 0:
		return status.Spell(-wait) + " ago"
	case wait < time.Hour:
		return "in " + status.Spell(wait)
	case wait < 6*24*time.Hour:
		return at.In(now.Location()).Format("Mon 15:04")
	}
	return at.In(now.Location()).Format("2006-01-02 15:04")
}

// colourOf is red for what wants attention, and green for what runs.
func colourOf(p status.Profile) text.Color {
	switch up := p.Now == policy.NowUp; {
	case up != (p.Wanted == status.WantedUp), p.Now == policy.NowNobody, p.Now == policy.NowUnknown:
		return text.FgRed
	case up:
		return text.FgGreen
	}
	return text.Reset
}

// Total counts the profiles.
func Total(d *status.Document) string {
	var up, wanted, held int
	for _, p := range d.Profiles {
		if p.Now == policy.NowUp {
			up++
		}
		if p.Wanted == status.WantedUp {
			wanted++
		}
		if p.Held {
			held++
		}
	}
	return fmt.Sprintf("%s: %d wanted up, %d up, %d held", policy.Count(len(d.Profiles), "profile"), wanted, up, held)
}

// Names prints the profiles, one a line.
func Names(w io.Writer, d *status.Document) {
	for _, name := range d.Names() {
		line(w, "%s", name)
	}
}
