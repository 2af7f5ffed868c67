package view

import (
	"fmt"
	"io"
	"slices"

	pretty "github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"hermes-reconcile/policy"
)

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

// fit makes a table at most as wide as a terminal. It leaves out the given columns, the least
// important first, as far as that is needed, and then shortens the widest ones.
func (t *table) fit(width int, dispensable ...string) {
	for _, name := range dispensable {
		if i := slices.Index(t.rows[0], name); i >= 0 && t.excess(t.widths(), width) > 0 {
			for row := range t.rows {
				t.rows[row] = slices.Delete(t.rows[row], i, i+1)
			}
		}
	}
	widths := t.widths()
	for t.excess(widths, width) > 0 && slices.Max(widths) > 1 {
		widths[slices.Index(widths, slices.Max(widths))]--
	}
	for _, row := range t.rows {
		for i := range row {
			row[i] = text.Snip(row[i], widths[i], "…")
		}
	}
}

// widths returns how many cells of a terminal each column has.
func (t *table) widths() []int {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(cell))
		}
	}
	return widths
}

// excess returns how much too wide a table with columns of these widths is.
func (t *table) excess(widths []int, width int) int {
	total := len(gap) * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	return total - width
}
