package view

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"hermes-reconcile/policy"
)

// A Screen is where a view is drawn. The zero value is a file: everything, without colours.
type Screen struct {
	Width  int  // cells of a line; 0: as many as a line needs
	Colour bool // what is drawn goes to the terminal as it is: it is clean, and has colours
	Wide   bool // all columns, with absolute times
}

// paint gives a clean text a colour.
func (s Screen) paint(colour text.Color, clean string) string {
	if !s.Colour || colour == text.Reset || strings.TrimSpace(clean) == "" {
		return clean
	}
	return colour.EscapeSeq() + clean + text.Reset.EscapeSeq()
}

// say prints a text after a heading, if there is one, and wraps it between words.
func (s Screen) say(w io.Writer, heading, format string, values ...any) {
	colour := text.Bold
	if heading == "ALARM" || heading == "POLICY" {
		colour = text.FgRed
	}
	if heading != "" {
		heading = fmt.Sprintf("%-8s", heading)
	}
	for _, part := range s.wrap(policy.Line(fmt.Sprintf(format, values...)), len(heading)) {
		fmt.Fprintln(w, s.paint(colour, heading)+strings.TrimRight(part, " "))
		heading = strings.Repeat(" ", len(heading))
	}
}

// wrap breaks a text between words. A word that is longer than a line loses its end.
func (s Screen) wrap(line string, indent int) []string {
	if s.Width == 0 || text.StringWidthWithoutEscSequences(line)+indent <= s.Width {
		return []string{line}
	}
	width, words := max(s.Width-indent, 1), strings.Fields(line)
	for i, word := range words {
		words[i] = text.Snip(word, width, "…")
	}
	return strings.Split(text.WrapSoft(strings.Join(words, " "), width), "\n")
}

// Cut shortens a line of a view to the width.
func (s Screen) Cut(line string) string { return text.Snip(line, s.Width, "…") }

// indent begins each line that goes on with the one before it.
const indent = "    "

// Fold breaks a line into lines that are not longer than the width, where it can between words.
// No character of the line steers the terminal.
func (s Screen) Fold(line string) (lines []string) {
	line = policy.Line(strings.ReplaceAll(line, "\t", indent))
	for width := max(s.Width, 2*len(indent)); text.StringWidthWithoutEscSequences(line) > width; {
		part := text.Trim(line, width)
		if space := strings.LastIndexByte(part, ' '); space > len(part)/2 && line[len(part)] != ' ' {
			part = part[:space]
		}
		lines, line = append(lines, part), indent+strings.TrimLeft(line[len(part):], " ")
	}
	return append(lines, line)
}
