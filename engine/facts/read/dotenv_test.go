package read

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDotenv(t *testing.T) {
	for _, c := range []struct {
		name, text string
		status     string
		want       map[string]string
	}{
		{"plain", "A=b\nC = d \n", "recorded", map[string]string{"A": "b", "C": "d"}},
		{"CRLF and BOM", "\ufeffA=b\r\nC=d\r\n", "recorded", map[string]string{"A": "b", "C": "d"}},
		{"export", "export A=b\nexport\tC=d\nexported=e\n", "recorded", map[string]string{"A": "b", "C": "d", "exported": "e"}},
		{"comments", "# A=b\nA=b # c\nB=c#d\nC=#d\n", "recorded", map[string]string{"A": "b", "B": "c#d", "C": "#d"}},
		{"quotes", `A="b # c" # d` + "\n" + `B='x"y\'z\n'` + "\n" + `C="a\tb\"c\q"`, "recorded", map[string]string{"A": "b # c", "B": `x"y'z\n`, "C": "a\tb\"c\\q"}},
		{"several lines", "A=\"one\ntwo\"\nB=c\n", "recorded", map[string]string{"A": "one\ntwo", "B": "c"}},
		{"no closing quote", "A=\"one\nB=c\n", "recorded", map[string]string{"B": "c"}},
		{"text after a quote", "A=\"one\"two\nB=c\n", "recorded", map[string]string{"B": "c"}},
		{"last of two", "A=1\nA=2\n", "recorded", map[string]string{"A": "2"}},
		{"no names", "1A=b\n=c\nA B=c\nword\n", "empty", map[string]string{}},
		{"empty", "", "empty", map[string]string{}},
		{"zero byte", "A=\x00b", "invalid", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ParseDotenv([]byte(c.text))
			if got.Status != c.status {
				t.Errorf("status is %s, want %s", got.Status, c.status)
			}
			if diff := cmp.Diff(c.want, got.Values); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
		})
	}
}
