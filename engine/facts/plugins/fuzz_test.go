package plugins

import (
	"testing"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// FuzzStaticPlugin: whatever a static plug-in holds, its answer is about the container and
// about profiles, or it is none.
func FuzzStaticPlugin(f *testing.F) {
	for _, text := range []string{
		`{"container":{"a":1},"profiles":{"coder":{}}}`, "container: {a: 1}\n", "profiles:\n  coder: !!binary aGk=\n", "container: {.nan: .inf}\n", "<<: {container: {a: 1}}\n",
		"a: &a [*a]\n", "container: {1: 2}\n", "%YAML 9.9\n---\n{}\n---\n{}\n", "? [a]\n: b\n", "container: {a: 1e999}\n", "!!set {container}\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text, out := read.YAMLToJSON(data)
		for _, one := range [][]byte{data, text} {
			a := parseAnswer(one)
			if a.Status == "" || a.Status != policy.StatusRecorded && (a.container != nil || a.profiles != nil) {
				t.Errorf("%q (%v): %+v", data, out, a)
			}
			r := newReport(read.Recorded)
			r.add("p", a, map[string]bool{"coder": true})
			for profile := range r.profiles {
				if profile != "coder" {
					t.Errorf("%q says something of %q", data, profile)
				}
			}
		}
	})
}
