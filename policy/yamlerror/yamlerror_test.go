package yamlerror

import (
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Every mistake has its own row, and a sentence about what would be right.
func TestExplain(t *testing.T) {
	t.Parallel()
	const before = "# comment\nfirst:\n  list: [\n    1,\n    2]\n  text: \"two\n    lines\"\n"
	for _, test := range []struct{ text, want string }{
		{"a: 1\n\tb: 2\n", "9:2: a line begins with a tab; indent with spaces"},
		{"a:\n\tb: 2\n", "9:2: a value cannot begin so, and a line cannot begin with a tab"},
		{"a: 1\nb\nc: 2\n", "9:1: want KEY: VALUE"},
		{"a: 1\nb: [1, 2\nc: 3\nd: 4\n", "9:1: the list in [ ] does not end"},
		{"a: 1\nb: {c: 2\nd: 3\n", "9:1: the object in { } does not end"},
		{"a: \"x\nb: 3\n", "8:1: a quote is not closed"},
		{"a: 1\n  b: 2\n", `9:3: a second ": " in one value, or a line that is indented too far`},
		{"a:\n  b: 1\n c: 2\nd: 3\n", "10:2: the line does not fit the lines before it"},
		{"a: b: c\nd: 3\n", `8:1: a second ": " in one value`},
		{"a: *.x\n", "8:1: * and & mean something to YAML"},
		{"a: 1\nb: *x\n", "9:1: nothing has the name &x"},
		{"a: \"\\d\"\n", "8:1: no such escape"},
		{"a: - b\n", "8:1: a list begins on the line of its key"},
		{"a: ]\n", "8:1: a value is missing"},
		{"a: 1\na: 2\n", `9:1: the key "a" is there twice, first in row 8; keep one`},
		{"a:\n  - b\n  c\n", "10:3: "},
	} {
		text := []byte(before + test.text)
		var value map[string]any
		err := yaml.Unmarshal(text, &value)
		if err == nil {
			t.Errorf("%q is YAML", test.text)
			continue
		}
		row, col, message := Explain(text, err)
		if have := fmt.Sprintf("%d:%d: %s", row, col, message); !strings.HasPrefix(have, test.want) {
			t.Errorf("%q: %s, want %s (%v)", test.text, have, test.want, err)
		}
	}
	var value map[string]any
	err := yaml.Unmarshal([]byte("- a\n"), &value)
	if row, _, message := Explain([]byte("- a\n"), err); row != 1 || !strings.HasPrefix(message, "want keys with values") {
		t.Errorf("a list: %d, %s", row, message)
	}
}
