package bundle

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hermes-reconcile/policy"
)

func verifyWith(algorithm, public string) Sources {
	return Sources{Require: true, Keys: []policy.BundleKey{{ID: "fleet", Algorithm: algorithm, Key: public}}}
}

const heldRule = "package reconcile.rules.a\n\nhold contains {\"profile\": \"coder\", \"reason\": \"no\"} if true\n"

func TestInspect(t *testing.T) {
	t.Parallel()
	private, public := keyPair(t, "ES256")
	text := signed(t, tarball(t, ".manifest", manifest7, "deep/a.rego", heldRule, "data.json", `{"settings": {"b": 1, "a": 2}}`), private, "ES256", "fleet", "")
	got, err := verifyWith("ES256", public).Inspect("https://me:hunter2@example.com/b", text)
	want := Info{
		Ordered: true, Roots: []string{"reconcile", "settings"},
		Bundle:   policy.Bundle{Source: "https://(hidden)@example.com/b", Revision: "7", Sequence: "12", Signed: true},
		Files:    []string{".manifest", ".signatures.json", "data.json", "deep/a.rego"},
		Rules:    []string{"reconcile.rules.a"},
		Settings: []string{"a", "b"}, Signature: &Signature{KeyID: "fleet", Algorithm: "ES256"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Info{}, "Digest", "Metadata")); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for manifest, ordered := range map[string]bool{`{"revision": "7"}`: true, `{"revision": "2026-11-28T00:00:00Z"}`: true, `{"revision": "v2"}`: false, `{}`: false} {
		i, err := Sources{}.Inspect("b", tarball(t, ".manifest", manifest, "a.rego", heldRule))
		if err != nil || i.Ordered != ordered || i.Signature != nil || i.Signed || i.NotUsed != "" {
			t.Errorf("%s: %+v, %v", manifest, i, err)
		}
	}
}

// A bundle that would not be used is described, and says why.
func TestInspectWhatIsNotUsed(t *testing.T) {
	t.Parallel()
	private, public := keyPair(t, "ES256")
	_, other := keyPair(t, "ES256")
	_, another := keyPair(t, "RS256")
	rule := tarball(t, ".manifest", manifest7, "a.rego", heldRule)
	good := signed(t, rule, private, "ES256", "fleet", "")
	for name, test := range map[string]struct {
		sources Sources
		text    []byte
	}{
		"another key":       {verifyWith("ES256", other), good},
		"another algorithm": {verifyWith("RS256", another), good},
		"another scope":     {verifyWith("ES256", public), signed(t, rule, private, "ES256", "fleet", "write")},
		"not signed":        {verifyWith("ES256", public), rule},
		"no token":          {verifyWith("ES256", public), tarball(t, "a.rego", heldRule, ".signatures.json", `{"signatures": []}`)},
		"no JSON":           {verifyWith("ES256", public), tarball(t, "a.rego", heldRule, ".signatures.json", `{"signatures": ["a"]}`)},
		"a null in it":      {verifyWith("ES256", public), tarball(t, "a.rego", heldRule, ".signatures.json", `{"signatures": ["bnVsbA.bnVsbA.bnVsbA"]}`)},
	} {
		i, err := test.sources.Inspect("b", test.text)
		if err != nil || i.NotUsed == "" || i.Signed || len(i.Rules) == 0 {
			t.Errorf("%s: %+v, %v", name, i, err)
		}
	}
	for name, text := range map[string][]byte{
		"no archive": []byte("x"), "no bytes": nil, "no Rego": tarball(t, "a.rego", "package"), "a manifest of another kind": tarball(t, ".manifest", "[]"),
		"other data": tarball(t, "a.rego", heldRule, "data.json", `{"users": {}}`),
		"a bomb":     tarball(t, "a.rego", strings.Repeat(" ", 50<<20)),
	} {
		if i, err := (Sources{}).Inspect("b", text); err == nil {
			t.Errorf("%s: it is a bundle: %+v", name, i)
		}
	}
}
