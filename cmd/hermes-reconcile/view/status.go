package view

import (
	"bytes"
	"cmp"
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
	if !d.Watch.Running && d.Upcoming() {
		s.say(w, "NEXT", "holds end, and rules decide again, at the next hermes-reconcile apply or boot: no watch runs")
	}
	s.say(w, "WATCH", "%s", d.Watch.Describe(d.At))
	if d.Volume.Owner != nil {
		s.say(w, "OWNER", "%s", d.Volume.Owner.Describe(d.At))
	}
	s.say(w, "TOTAL", "%s", summary(d))
}

// dispensable are the columns that a narrow terminal does not have, the least important first.
var dispensable = []string{"SLOT", "SERVED BY", "RESTARTS", "SINCE"}

func (s Screen) profiles(w io.Writer, d *status.Document) {
	head := []any{"PROFILE", "WANTED", "SLOT", "NOW", "SINCE", "RESTARTS", "REASON", "SERVED BY", "NEXT"}
	if s.Wide {
		head = append(head, "PRIOR STATE", "WHY")
	}
	table := newTable(w, head...)
	for _, name := range d.Names() {
		p := d.Profiles[name]
		cells := []any{name, p.Wanted, p.Slot, p.DescribeNow(), s.since(p, d.At), restarts(p), p.Code, servedBy(p), s.next(p, d.At)}
		if s.Wide {
			cells = append(cells, cmp.Or(p.PriorState, policy.NowNothing), p.Reason)
		}
		table.row(cells...)
	}
	if s.Width > 0 && !s.Wide {
		table.fit(s.Width, dispensable...)
	}
	now := slices.Index(table.rows[0], "NOW")
	for i, name := range d.Names() {
		row := table.rows[i+1]
		row[now] = s.paint(colourOf(d.Profiles[name]), row[now])
	}
	for i, word := range table.rows[0] {
		table.rows[0][i] = s.paint(text.Bold, word)
	}
	table.end()
}

func (s Screen) since(p status.Profile, now time.Time) string {
	switch {
	case p.SinceUnix == 0:
		return policy.NowNothing
	case s.Wide:
		return p.Since
	}
	return status.Spell(now.Sub(time.Unix(p.SinceUnix, 0))) + " ago"
}

func (s Screen) next(p status.Profile, now time.Time) string {
	switch {
	case p.Next == nil:
		return policy.NowNothing
	case s.Wide:
		return p.Next.Exactly()
	}
	return p.Next.Describe(now)
}

func restarts(p status.Profile) string {
	switch p.Now {
	case policy.NowUp, policy.NowDown, policy.NowWaiting:
		return fmt.Sprint(p.Restarts)
	}
	return policy.NowNothing
}

func servedBy(p status.Profile) string {
	if p.ServedBy == status.ServedSelf {
		return fmt.Sprintf("self (%d)", p.PID)
	}
	return p.ServedBy
}

// colourOf is red for what wants attention, green for what runs.
func colourOf(p status.Profile) text.Color {
	switch up := p.Now == policy.NowUp; {
	case up != (p.Wanted == status.WantedUp), p.Now == policy.NowNobody, p.Now == policy.NowUnknown:
		return text.FgRed
	case up:
		return text.FgGreen
	case p.Held:
		return text.FgYellow
	}
	return text.Faint
}

// summary counts the profiles.
func summary(d *status.Document) string {
	counts := map[string]int{}
	for _, p := range d.Profiles {
		counts[p.Summary()]++
	}
	parts := []string{}
	for _, word := range status.Summaries {
		if counts[word] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[word], word))
		}
	}
	return policy.Count(len(d.Profiles), "profile") + ": " + strings.Join(parts, ", ")
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
