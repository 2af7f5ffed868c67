package rego

import (
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
)

// A document has every fact under its profile, also facts with the same text.
func TestDocument(t *testing.T) {
	t.Parallel()
	in := input(`{"coder": {"a": {"x": [1, "\u00e9", null]}, "b": {}}, "writer": {"a": {"x": [1, "é", null]}, "b": {}}}`)
	in.Container = policy.Facts{"c": []byte(`true`)}
	in.Decisions = map[string]policy.Verdict{"coder": {Action: policy.ActionStart, Code: "x"}}
	d, err := NewDocument(in)
	if err != nil {
		t.Fatal(err)
	}
	same := `{"a": {"x": [1, "é", null]}, "b": {}}`
	for path, want := range map[string]string{
		"profiles": `{"coder": ` + same + `, "writer": ` + same + `}`, "container": `{"c": true}`, "phase": `"boot"`,
		"decisions": `{"coder": {"action": "start", "code": "x"}}`,
	} {
		if got := d.term.Get(ast.StringTerm(path)); !got.Equal(ast.MustParseTerm(want)) {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

func TestDocumentRefusesWhatIsNotJSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `{`, `{"a":}`, `nul`, `1e999999999999`, `"a`} {
		in := input(`{}`)
		in.Profiles["coder"] = policy.Facts{"broken": []byte(text)}
		if _, err := NewDocument(in); err == nil || !strings.Contains(err.Error(), "profile coder: fact broken: ") {
			t.Errorf("%q: got %v, want an error that names the fact", text, err)
		}
	}
}
