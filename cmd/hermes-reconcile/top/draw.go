package top

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
)

// The smallest terminal, in cells.
const minWidth, minHeight = 40, 10

// What stands before the chosen profile, and before the others.
const marker, unmarked = "> ", "  "

func (m *model) View() tea.View {
	rows, screen := m.rows(), view.Screen{Width: m.width}
	for i, row := range rows {
		rows[i] = screen.Cut(row)
	}
	v := tea.NewView(strings.Join(rows, "\n"))
	v.AltScreen = true
	return v
}

// rows are the lines of the screen, from the top.
func (m *model) rows() []string {
	if m.width < minWidth || m.height < minHeight {
		return strings.Split(fmt.Sprintf("This terminal has %d x %d cells.\ntop needs %d x %d.\nq: quit", m.width, m.height, minWidth, minHeight), "\n")
	}
	rows := []string{m.head()}
	if !m.zoomed {
		rows = append(rows, m.troubleRows()...)
		rows = append(rows, m.listRows()...)
	}
	rows = append(rows, m.paneTitle())
	rows = append(rows, m.shownPage().window(m.paneHeight())...)
	for len(rows) < m.height-1 {
		rows = append(rows, "")
	}
	return append(rows, m.foot())
}

// head has the total and the time of the picture, and why there is no newer one.
func (m *model) head() string {
	left, right := view.Total(m.document), m.document.At.Format("15:04:05")
	if age := m.now.Sub(m.document.At); age > 5*time.Second {
		right += ", " + status.Spell(age) + " ago"
	}
	if m.lookErr != nil {
		return m.paint(red, right+": "+policy.Line(m.lookErr.Error()))
	}
	return left + strings.Repeat(" ", max(2, m.width-len(left)-len(right))) + right
}

// troubleRows are the first lines about trouble, on an eighth of the screen.
func (m *model) troubleRows() []string {
	rows, most := m.trouble, max(1, m.height/8)
	if len(rows) <= most {
		return rows
	}
	return append(slices.Clone(rows[:most-1]), fmt.Sprintf("… and %s, see 4", policy.Count(len(rows)-most+1, "more line")))
}

// listHeight is how many profiles the list shows: at most half of what is left of the screen.
func (m *model) listHeight() int {
	return max(1, min(len(m.names), (m.height-4-len(m.troubleRows()))/2))
}

func (m *model) paneHeight() int {
	if m.zoomed {
		return max(1, m.height-3)
	}
	return max(1, m.height-4-len(m.troubleRows())-m.listHeight())
}

func (m *model) listRows() []string {
	if len(m.names) == 0 {
		return []string{"", policy.Line("There is no such profile " + m.filter)}
	}
	rows := []string{unmarked + m.plain[0]}
	for i := m.first; i < min(m.first+m.listHeight(), len(m.names)); i++ {
		row := unmarked + m.coloured[i+1]
		if m.names[i] == m.chosen {
			row = m.paint(reverse, marker+m.plain[i+1])
		}
		rows = append(rows, row)
	}
	return rows
}

func (m *model) paneTitle() string {
	title := "──"
	for i, tab := range tabs {
		name := tab.key + " " + tab.name
		if i == tabAction && m.action == nil {
			continue
		} else if i == tabAction {
			name += policy.Line(m.action.String())
		}
		if m.tab == i {
			title += m.paint(reverse, "["+name+"]")
		} else {
			title += " " + name + " "
		}
	}
	if len(tabs[m.tab].command) > 0 && m.chosen != "" {
		title += " " + policy.Line(m.chosen)
	}
	return strings.TrimSuffix(view.Screen{Width: m.width}.Cut(title+" "+strings.Repeat("─", m.width)), "…") + "─"
}

// shownPage is the page in the pane.
func (m *model) shownPage() *page {
	if m.tab == tabAction {
		return &m.action.page
	}
	return &m.page
}

// foot is what is asked, what is under way, or which keys there are.
func (m *model) foot() string {
	if m.filtering {
		return "filter: " + policy.Line(m.filter) + "_   enter: keep it   esc: end it"
	}
	a := m.action
	switch {
	case m.notice != "":
		return policy.Line(m.notice)
	case a.asks() && a.stage == planning:
		return policy.Line(a.String()) + ": what would it do?   esc: leave it"
	case a.asks() && a.task.exitStatus != 0:
		return m.paint(red, "[y/N] It would fail, see above. All the same, "+policy.Line(a.String())+"?")
	case a.asks():
		return m.paint(red, "[y/N] Do the above, "+policy.Line(a.String())+"?")
	case a != nil && a.stage == doing:
		return fmt.Sprintf("%s is under way, %s", policy.Line(a.String()), m.now.Sub(a.begun).Round(time.Second))
	case m.zoomed:
		return "up/down PgUp/PgDn scroll   esc back   ? help   q quit"
	case m.filter != "":
		return "filter: " + policy.Line(m.filter) + "   / changes it   ? help   q quit"
	}
	return "s start  x stop  r restart  e release  / filter  enter pane  ? help  q quit"
}

// The attributes of a terminal that top uses.
const red, reverse = "\x1b[31m", "\x1b[7m"

// paint gives a clean text an attribute, where there are colours.
func (m *model) paint(attribute, clean string) string {
	if !m.Colour {
		return clean
	}
	return attribute + clean + "\x1b[0m"
}
