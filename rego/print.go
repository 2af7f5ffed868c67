package rego

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/topdown/print"
)

// maxPrinted limits how many bytes of the output of print() are kept for one package.
const maxPrinted = 1 << 20

// Prints keeps what rules print, as file:row: text, without immediate repetitions.
type Prints struct {
	Lines []string
	size  int
}

// Print keeps one line.
func (p *Prints) Print(c print.Context, text string) error {
	line := Place(c.Location) + ": " + text
	if p.size += len(line); p.size > maxPrinted {
		line = "(more was printed)"
	}
	if !slices.Contains(p.Lines[max(0, len(p.Lines)-1):], line) {
		p.Lines = append(p.Lines, line)
	}
	return nil
}
