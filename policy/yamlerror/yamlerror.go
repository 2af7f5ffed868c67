// Package yamlerror says in words what is wrong in a text of YAML, and where.
package yamlerror

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

const unclosed = "found unexpected end of stream"

// inWords has what would be right, after what the parser says.
var inWords = [...][2]string{
	{"mapping values are not allowed in this context", `a second ": " in one value, or a line that is indented too far; put text that has ": " in quotes`},
	{"did not find expected key", "the line does not fit the lines before it; begin it in the column of its neighbours"},
	{"did not find expected '-' indicator", "the line does not fit the list before it; begin it with - in the column of the other items"},
	{"could not find expected ':'", "want KEY: VALUE, with a space after the colon"},
	{"did not find expected ',' or ']'", "the list in [ ] does not end; want a comma between its items, and ] after the last"},
	{"did not find expected ',' or '}'", "the object in { } does not end; want a comma between its keys, and } after the last"},
	{"did not find expected node content", "a value is missing"},
	{"found character that cannot start any token", "a value cannot begin so, and a line cannot begin with a tab; put the text in quotes, and indent with spaces"},
	{"found a tab character that violates indentation", "a line begins with a tab; indent with spaces"},
	{unclosed, "a quote is not closed"},
	{"did not find expected alphabetic or numeric character", "* and & mean something to YAML; put the text in quotes"},
	{"found unknown escape character", `no such escape in "…"; put text with a backslash between single quotes`},
	{"block sequence entries are not allowed in this context", "a list begins on the line of its key; begin each item on a line of its own"},
	{"control characters are not allowed", "a control character; want text"},
	{"invalid leading UTF-8 octet", "want text in UTF-8"},
	{"map merge requires map or sequence of maps as the value", "<< wants an object"},
}

// Sentence returns what is wrong with a file of that text, which err is about, after its place.
func Sentence(name string, text []byte, err error) string {
	row, col, message := Explain(text, err)
	if row == 0 {
		return name + ": " + message
	}
	return fmt.Sprintf("%s:%d:%d: %s", name, row, col, message)
}

// Explain returns what is wrong with a text, which err is about, and the place. Row and col
// count from 1. They are 0 if the place is not known.
func Explain(text []byte, err error) (row, col int, message string) {
	if wrong, ok := errors.AsType[*yaml.TypeError](err); ok && len(wrong.Errors) > 0 {
		row, message = split(errors.New(wrong.Errors[0]))
		return row, column(text, row), ofType(message)
	}
	_, message = split(err)
	row = rowOf(text, message, err)
	col = column(text, row)
	for _, words := range inWords {
		if words[0] == message {
			return row, col, words[1]
		}
	}
	return row, col, regexp.MustCompile(`^unknown anchor '(.*)' referenced$`).ReplaceAllString(message, "nothing has the name &$1; put text that begins with * in quotes")
}

// split returns the line that the parser names, or 0, and what it says.
func split(err error) (line int, problem string) {
	problem = strings.TrimPrefix(err.Error(), "yaml: ")
	if _, scanErr := fmt.Sscanf(problem, "line %d:", &line); scanErr == nil {
		_, problem, _ = strings.Cut(problem, ": ")
	}
	return line, problem
}

// rowOf returns the first row with which the lines from the beginning have the same problem.
// The parser often only knows where the object or list around it begins.
func rowOf(text []byte, message string, err error) int {
	if message == unclosed {
		// The parser names the row in which the quote begins, but not if that is the first.
		if err := yaml.Unmarshal(append([]byte("\n"), text...), new(yaml.Node)); err != nil {
			line, _ := split(err)
			return max(0, line-1)
		}
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	row := 1 + sort.Search(len(lines), func(i int) bool {
		part := yaml.Unmarshal(bytes.Join(lines[:i+1], nil), new(yaml.Node))
		return part != nil && part.Error() == err.Error()
	})
	if row > len(lines) {
		return 0
	}
	return row
}

// column returns where the text of a row begins.
func column(text []byte, row int) int {
	lines := strings.Split(string(text), "\n")
	if row < 1 || row > len(lines) {
		return 0
	}
	line := lines[row-1]
	return len(line) - len(strings.TrimLeft(line, " \t")) + 1
}

// ofType explains a value of another type than that of the document.
func ofType(problem string) string {
	if strings.HasSuffix(problem, "into map[string]interface {}") {
		return "want keys with values, each as KEY: VALUE"
	}
	twice := regexp.MustCompile(`^mapping key (".*") already defined at line (\d+)$`)
	return twice.ReplaceAllString(problem, "the key $1 is there twice, first in row $2; keep one")
}
