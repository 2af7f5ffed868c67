package view

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
)

// Status prints the profiles, and below them what wants attention.
func Status(w io.Writer, d *status.Document) {
	writeSkip(w, d.Skip)
	table := newTable(w, "PROFILE", "WANTED", "SLOT", "NOW", "REASON", "SERVED BY")
	for _, name := range d.Names() {
		p := d.Profiles[name]
		served := p.ServedBy
		if served == status.ServedSelf {
			served = fmt.Sprintf("self (%d)", p.PID)
		}
		table.row(name, p.Wanted, p.Slot, p.DescribeNow(d.At), p.Code, served)
	}
	table.end()
	line(w, "WATCH   %s", d.Watch.Describe(d.At))
	if d.Volume.Owner != nil {
		line(w, "OWNER   %s", d.Volume.Owner.Describe(d.At))
	}
	writePolicy(w, policy.Decisions{Policy: d.Policy, Alarms: d.Alarms})
}

// StatusFrame is one drawing of the status on a terminal of a height. It starts at the top
// left and ends with the terminal.
func StatusFrame(d *status.Document, every time.Duration, height int) []byte {
	var text, frame bytes.Buffer
	Status(&text, d)
	fmt.Fprintf(&frame, "\x1b[H\x1b[2J%s, every %s, q to end\n\n", d.Time, every)
	lines := slices.Collect(strings.Lines(policy.Clean(text.String())))
	if most := height - 4; most > 0 && len(lines) > most {
		lines = append(lines[:most:most], fmt.Sprintf("… and %d more lines\n", len(lines)-most))
	}
	frame.WriteString(strings.Join(lines, ""))
	return frame.Bytes()
}
