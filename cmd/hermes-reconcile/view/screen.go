package view

import (
	"fmt"
	"io"
	"slices"
	"strings"

	pretty "github.com/jedib0t/go-pretty/v6/table"
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

// A table has columns that are as wide as their widest cell. Its end prints it.
type table struct {
	w    io.Writer
	rows [][]string // the head is the first, if there is one
}

func newTable(w io.Writer, head ...any) *table {
	t := &table{w: w}
	if len(head) > 0 {
		t.row(head...)
	}
	return t
}

// row adds a row. No text in it breaks a line or a cell.
func (t *table) row(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = policy.Line(fmt.Sprint(cell))
	}
	t.rows = append(t.rows, row)
}

const gap = "  " // between columns

func (t *table) end() {
	if len(t.rows) == 0 {
		return
	}
	writer := pretty.NewWriter()
	writer.SetStyle(pretty.Style{Box: pretty.BoxStyle{PaddingRight: gap}})
	writer.SuppressTrailingSpaces()
	// Nothing pads the last column, where one long text would make every row as long.
	asItIs := func(text string, _ int) string { return text }
	writer.SetColumnConfigs([]pretty.ColumnConfig{{Number: len(t.rows[0]), WidthMax: 1, WidthMaxEnforcer: asItIs}})
	for _, row := range t.rows {
		cells := make(pretty.Row, len(row))
		for i, cell := range row {
			cells[i] = cell
		}
		writer.AppendRow(cells)
	}
	fmt.Fprintln(t.w, writer.Render())
}

// fit makes a table at most as wide as a terminal. As far as needed, it leaves out the given
// columns, the first one first, and then shortens the widest ones. The first column has the
// names, so it may be twice as wide as others.
func (t *table) fit(width int, dispensable ...string) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(cell))
		}
	}
	total := func(limit int) int { // if no column is wider
		sum := min(widths[0], 2*limit) + len(gap)*(len(widths)-1)
		for _, w := range widths[1:] {
			sum += min(w, limit)
		}
		return sum
	}
	for ; len(dispensable) > 0 && total(width) > width; dispensable = dispensable[1:] {
		i := slices.Index(t.rows[0], dispensable[0])
		widths = slices.Delete(widths, i, i+1)
		for row := range t.rows {
			t.rows[row] = slices.Delete(t.rows[row], i, i+1)
		}
	}
	limit := width
	for limit > 1 && total(limit) > width {
		limit--
	}
	for _, row := range t.rows {
		row[0] = text.Snip(row[0], 2*limit, "…")
		for i := range row[1:] {
			row[i+1] = text.Snip(row[i+1], limit, "…")
		}
	}
}
