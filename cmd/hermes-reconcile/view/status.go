package view

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
)

// Status prints what wants attention, the profiles, and a summary.
func (s Screen) Status(w io.Writer, d *status.Document) {
	var trouble bytes.Buffer
	s.skip(&trouble, d.Skip)
	s.policy(&trouble, policy.Decisions{Policy: d.Policy, Alarms: d.Alarms})
	if trouble.Len() > 0 {
		fmt.Fprintf(w, "%s\n", trouble.Bytes())
	}
	s.profiles(w, d)
	fmt.Fprintln(w)
	s.say(w, "WATCH", "%s", d.Watch.Describe(d.At))
	if d.Volume.Owner != nil {
		s.say(w, "OWNER", "%s", d.Volume.Owner.Describe(d.At))
	}
	s.say(w, "TOTAL", "%s", Total(d))
}

// The columns that a narrow terminal does not have, the least important first.
var dispensable = []string{"SLOT", "SERVED BY", "RESTARTS", "SINCE"}

func (s Screen) profiles(w io.Writer, d *status.Document) {
	table := newTable(w, "PROFILE", "WANTED", "NOW", "SLOT", "SINCE", "RESTARTS", "REASON", "SERVED BY", "NEXT")
	for _, name := range d.Names() {
		p := d.Profiles[name]
		next := strings.TrimSuffix(s.when(p.Next, d.At)+", "+p.NextReason, ", ")
		table.row(name, p.Wanted, p.DescribeNow(), p.Slot, s.when(p.Since, d.At), p.Restarts, p.Code, p.ServedBy, next)
	}
	if s.Width > 0 && !s.Wide {
		table.fit(s.Width, dispensable...)
	}
	for i, name := range d.Names() {
		now := &table.rows[i+1][2]
		*now = s.paint(colourOf(d.Profiles[name]), *now)
	}
	table.end()
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

// Total counts the profiles in words.
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

// Frame is one drawing of the status on a terminal of a height. It starts at the top left and
// ends with the terminal.
func (s Screen) Frame(d *status.Document, every time.Duration, height int) []byte {
	var text, frame bytes.Buffer
	s.Status(&text, d)
	fmt.Fprintf(&frame, "\x1b[H\x1b[2J%s, every %s, q to end\n\n", d.Time, every)
	lines := slices.Collect(strings.Lines(text.String()))
	if most := height - 4; most > 0 && len(lines) > most {
		lines = append(lines[:most:most], fmt.Sprintf("… and %d more lines\n", len(lines)-most))
	}
	frame.WriteString(strings.Join(lines, ""))
	return frame.Bytes()
}
