package publish

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	opa "github.com/open-policy-agent/opa/v1/bundle"

	"hermes-reconcile/rego"
)

func layer() rego.Layer {
	files := fstest.MapFS{}
	for name, text := range map[string]string{
		"b.rego":                    "package reconcile.lib.b\n\nyes := true\n",
		"deep/a.rego":               "package reconcile.rules.a\n\nhold contains {\"profile\": \"coder\", \"reason\": \"no\"} if data.reconcile.lib.b.yes\n",
		"deep/a_test.rego":          "package reconcile.rules.a_test\n\ntest_a if true\n",
		"data/settings.yaml":        "settings:\n  # a comment\n  limit: 12345678901234567890\n  names: [b, a]\n",
		"schemas/input/schema.json": "{}",
		"notes.txt":                 "",
		".hidden.rego":              "package hidden\n",
	} {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return rego.Layer{Name: "rules", Files: files}
}

func TestABundleHasWhatABootReads(t *testing.T) {
	t.Parallel()
	text, err := Build(layer(), "42", map[string]any{"team": "sre"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := opa.NewReader(bytes.NewReader(text)).Read()
	if err != nil {
		t.Fatalf("OPA does not read it: %v", err)
	}
	files := map[string]string{}
	for _, m := range b.Modules {
		files[m.Path] = string(m.Raw)
	}
	rule, _ := fs.ReadFile(layer().Files, "deep/a.rego")
	if names := slices.Sorted(maps.Keys(files)); !slices.Equal(names, []string{"/b.rego", "/deep/a.rego"}) || files["/deep/a.rego"] != string(rule) {
		t.Errorf("the files are %q", files)
	}
	manifest, _ := json.Marshal(b.Manifest)
	if want := `{"revision":"42","roots":["reconcile/lib/b","reconcile/rules/a","settings"],"rego_version":1,"metadata":{"team":"sre"}}`; string(manifest) != want {
		t.Errorf("the manifest is %s, want %s", manifest, want)
	}
	data, _ := json.Marshal(b.Data)
	if want := `{"settings":{"limit":12345678901234567890,"names":["b","a"]}}`; string(data) != want {
		t.Errorf("the data are %s, want %s", data, want)
	}
}

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"", "RS256", "EdDSA"} {
		var key *Key
		if kind != "" {
			key = mustKey(t, private(t, kind))
		}
		build := func(revision string) []byte {
			text, err := Build(layer(), revision, map[string]any{"b": 1, "a": "x"}, key)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		first := build("1")
		for range 5 {
			if !bytes.Equal(first, build("1")) {
				t.Fatalf("signed with %q, a second bundle has other bytes", kind)
			}
		}
		if bytes.Equal(first, build("2")) {
			t.Errorf("signed with %q, another revision has the same bytes", kind)
		}
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	got, err := Metadata([]string{"team=sre", "rollout={percent: 10, waves: [a, b]}", "sequence=7"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"team": "sre", "sequence": json.Number("7"),
		"rollout": map[string]any{"percent": json.Number("10"), "waves": []any{"a", "b"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, wrong := range []string{"team", "team=", "=sre", "a={", "a=1\n  b: 2"} {
		if _, err := Metadata([]string{wrong}); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}
