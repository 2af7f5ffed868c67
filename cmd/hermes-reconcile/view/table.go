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
