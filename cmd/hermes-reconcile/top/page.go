package top

import (
	"strings"

	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/policy"
)

// maxLines bounds a page, as printed and as folded. A line of it is bounded by policy.Cut.
const maxLines = 4000

// A page is text that may grow at its end.
type page struct {
	width   int
	old     bool // what is added takes its place
	raw     []string
	partial string   // a line without its end
	lines   []string // raw, folded
	top     int      // line at the top of the window
	follows bool     // the window is at the end, also of what comes
}

// add adds a text at the end.
func (p *page) add(text string) {
	if p.old {
		p.old, p.raw, p.lines, p.partial = false, nil, nil, ""
	}
	rows := strings.Split(p.partial+text, "\n")
	p.partial = policy.Cut(rows[len(rows)-1])
	for _, row := range rows[:len(rows)-1] {
		row = policy.Cut(row)
		p.raw = append(p.raw, row)
		p.lines = append(p.lines, view.Screen{Width: p.width}.Fold(row)...)
	}
	p.raw = p.raw[max(0, len(p.raw)-maxLines):]
	surplus := max(0, len(p.lines)-maxLines)
	p.lines, p.top = p.lines[surplus:], max(0, p.top-surplus)
}

func (p *page) resize(width int) {
	if p.width == width {
		return
	}
	raw := append(p.raw, p.partial)
	p.width, p.raw, p.lines, p.partial = width, nil, nil, ""
	p.add(strings.Join(raw, "\n"))
}

// window is what a number of lines shows.
func (p *page) window(height int) []string {
	p.move(0, height)
	return p.lines[p.top:min(len(p.lines), p.top+height)]
}

// move moves the window by lines. At the end it follows.
func (p *page) move(by, height int) {
	end := max(0, len(p.lines)-height)
	if p.follows {
		p.top = end
	}
	p.top = min(max(0, p.top+by), end)
	if by != 0 {
		p.follows = p.top == end
	}
}
