package read

import (
	"strings"
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
		{"returns alone", "A=b\rC=d\r", "recorded", map[string]string{"A": "b", "C": "d"}},
		{"a name in quotes", "'A'=b\n", "recorded", map[string]string{"A": "b"}},
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

// What python-dotenv makes of references (load_dotenv with override=True).
func TestDotenvReferences(t *testing.T) {
	environ := map[string]string{"ENV": "outside"}
	for _, c := range []struct {
		text string
		want map[string]string
	}{
		{"X=1:a\nT=${X}\n", map[string]string{"X": "1:a", "T": "1:a"}},
		{"T=${NONE:-abc}\n", map[string]string{"T": "abc"}},
		{"T=a${NONE}b\n", map[string]string{"T": "ab"}},
		{"X=1\nT='${X}'\n", map[string]string{"X": "1", "T": "1"}},
		{"T=a${ENV}b${ENV}\n", map[string]string{"T": "aoutsideboutside"}},
		{"ENV=${ENV}2\n", map[string]string{"ENV": "outside2"}},
		{"ENV=new\nT=${ENV}\n", map[string]string{"ENV": "new", "T": "new"}},
		{"T=${X}\nX=1\n", map[string]string{"T": "", "X": "1"}},
		{"X=\nT=${X:-d}\n", map[string]string{"X": "", "T": ""}},
		{"T=${A:-${B}}\n", map[string]string{"T": "${B}"}},
		{"T=$ENV\n", map[string]string{"T": "$ENV"}},
		{"T=${NONE-abc}${}${A B}\n", map[string]string{"T": ""}},
	} {
		if diff := cmp.Diff(c.want, ParseDotenv([]byte(c.text)).Resolved(environ).Values); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, diff)
		}
	}
}

// References that refer to references would fill the memory.
func TestDotenvReferencesAreBounded(t *testing.T) {
	text := "A=" + strings.Repeat("x", 1000) + "\n"
	for name := 'B'; name <= 'Z'; name++ {
		text += string(name) + "=" + strings.Repeat("${"+string(name-1)+"}", 100) + "\n"
	}
	size := 0
	for _, value := range ParseDotenv([]byte(text)).Resolved(nil).Values {
		size += len(value)
	}
	if size == 0 || size > MaxConfig {
		t.Errorf("the values have %d bytes", size)
	}
}
