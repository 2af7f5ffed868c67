package policy

import (
	"strings"
	"testing"
)

func TestJSONExcess(t *testing.T) {
	t.Parallel()
	nested := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	for _, test := range []struct{ why, text, want string }{
		{"depth at the limit", nested(64), ""},
		{"too deep", nested(65), "nested deeper than 64"},
		{"brackets in a string", `["` + strings.Repeat("[", 100) + `\"` + strings.Repeat("{", 100) + `"]`, ""},
		{"one after the other", "[" + strings.Repeat("[],", 100) + "[]]", ""},
		{"a number at the limit", strings.Repeat("1", 400), ""},
		{"too long a number", "-" + strings.Repeat("1", 401), "more than 400 digits"},
		{"digits in a string", `"` + strings.Repeat("1", 500) + `"`, ""},
		{"an exponent at the limit", "1e-9999", ""},
		{"too long an exponent", "1E+10000", "more than 4 digits"},
	} {
		if got := JSONExcess([]byte(test.text)); got != test.want && (test.want == "" || !strings.Contains(got, test.want)) {
			t.Errorf("%s: %q, want %q", test.why, got, test.want)
		}
	}
}
