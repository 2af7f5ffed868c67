package main

import (
	"bytes"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"

	"hermes-reconcile/cmd/hermes-reconcile/view"
)

// The pictures of the documentation are what the program draws on a terminal of 80 cells.
// -update makes them new.
func TestScreenshots(t *testing.T) {
	_, d := documentedStatus(t)
	var status, explanation bytes.Buffer
	screen := view.Screen{Width: screenshotCells, Colour: true}
	screen.Status(&status, d)
	screenshot(t, "status", "$ hermes-reconcile status\n"+status.String())
	screen.Explanation(&explanation, &exampleExplanation)
	screenshot(t, "explain", "$ hermes-reconcile explain coder\n"+explanation.String())
	screenshot(t, "top", shownIn(t, "docs/top.md", "hermes-reconcile top"))
}

// screenshot compares docs/images/NAME.svg with a picture of what a terminal shows.
func screenshot(t *testing.T, name, shown string) {
	t.Helper()
	path := filepath.Join("../../docs/images", name+".svg")
	picture := terminalPicture(t, name, shown)
	if *update {
		if err := os.WriteFile(path, picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, picture) {
		t.Errorf("%s is not what the program draws (%v); -update makes it new. It draws\n%s", path, err, shown)
	}
}

// A cell of the pictures, in pixels, and how many of them a line has.
const (
	screenshotCells       = 80
	cellWidth, cellHeight = 8.4, 18.0
)

// styles are the escape sequences that the program uses, as attributes of a text.
var styles = map[string]string{
	text.FgRed.EscapeSeq(): ` fill="#ff7b72"`, text.FgGreen.EscapeSeq(): ` fill="#7ee787"`,
	text.Bold.EscapeSeq(): ` font-weight="bold"`, "\x1b[7m": ` fill="#79c0ff"`, text.Reset.EscapeSeq(): "",
}

var escape = regexp.MustCompile("\x1b\\[[0-9;]*m")

// A phrase is drawn as a whole: words with one space between them.
var phrase = regexp.MustCompile(`\S+( \S+)*`)

func cells(s string) float64 { return float64(text.StringWidthWithoutEscSequences(s)) }

// terminalPicture draws what a terminal shows. Every part of a line has its own place and width,
// so that another font moves nothing.
func terminalPicture(t *testing.T, name, shown string) []byte {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(shown, "\n"), "\n")
	width, height := screenshotCells*cellWidth+24, float64(len(lines))*cellHeight+24
	var svg bytes.Buffer
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" role="img" aria-label="%s on a terminal">`+"\n", width, height, width, name)
	fmt.Fprintf(&svg, `<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>`+"\n"+`<g font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" fill="#e6edf3">`+"\n")
	style := ""
	for row, line := range lines {
		at, cell := 0, 0.0
		for _, next := range append(escape.FindAllStringIndex(line, -1), []int{len(line), len(line)}) {
			part := line[at:next[0]]
			for _, words := range phrase.FindAllStringIndex(part, -1) {
				before, phrase := cells(part[:words[0]]), part[words[0]:words[1]]
				fmt.Fprintf(&svg, `<text x="%.1f" y="%.1f" textLength="%.1f" lengthAdjust="spacingAndGlyphs"%s>%s</text>`+"\n",
					12+(cell+before)*cellWidth, 26+float64(row)*cellHeight, cells(phrase)*cellWidth, style, html.EscapeString(phrase))
			}
			if cell += cells(part); cell > screenshotCells {
				t.Errorf("a line of %s has more than %d cells: %q", name, screenshotCells, line)
			}
			if code := line[next[0]:next[1]]; code != "" {
				known := false
				if style, known = styles[code]; !known {
					t.Errorf("%s has an escape sequence without a style: %q", name, code)
				}
			}
			at = next[1]
		}
	}
	svg.WriteString("</g>\n</svg>\n")
	return svg.Bytes()
}
