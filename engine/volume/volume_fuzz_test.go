package volume

import (
	"strings"
	"testing"

	"hermes-reconcile/policy"
)

// FuzzProfileName: a name is one printable word, two entries never share a name, and only
// the root profile is called default.
func FuzzProfileName(f *testing.F) {
	for _, name := range hostileNames() {
		f.Add(name, "default")
	}
	f.Add("two\nlines", `"two\nlines"`)
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsAny(a+b, "/\x00") || a == "" || b == "" { // not names of entries
			return
		}
		x, y := policy.ProfileName(a), policy.ProfileName(b)
		if a != b && x == y {
			t.Errorf("%q and %q are both called %q", a, b, x)
		}
		if p, ok := policy.ProfileNamed(x); a != "." && a != ".." && (!ok || p.Dir != "profiles/"+a) {
			t.Errorf("%q leads to %q, want %q", x, p.Dir, a)
		}
		if x == policy.RootProfile || strings.ContainsAny(x, "\n\r\x1b\u202e") {
			t.Errorf("%q is called %q", a, x)
		}
	})
}

// FuzzCheckName: an accepted name stays below its directory.
func FuzzCheckName(f *testing.F) {
	for _, name := range []string{"a", "a/b", "../a", "a/..", "/a", "a//b", ".", "..a/b..", ""} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if checkName(name) != nil {
			return
		}
		for _, part := range strings.Split(name, "/") {
			if part == ".." || part == "." || part == "" {
				t.Errorf("%q is accepted", name)
			}
		}
	})
}
