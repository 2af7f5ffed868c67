package volume

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hermes-reconcile/policy"
)

// FuzzIntentKeepsEveryByte: an intent changes two values of a state file, or adds them at
// its end, and changes no other byte. A second intent changes nothing.
func FuzzIntentKeepsEveryByte(f *testing.F) {
	for _, text := range []string{
		"{}", "{ }\n", `{"a":1}`, `{"desired_state":"stopped","x":"}","updated_at":1}`, "{\"desired_state\" :\r\n\t\"a\" ,\"desired_state\":null}\x20",
		`{"updated_at":{"desired_state":[1,2,{}]},"\u0064esired_state":"x"}`, `{"":"","é":"\ud800","n":-0.0e-7}`, "\ufeff{}", `{"a":"\"desired_state\": 1"}`, `{"desired_state" : null} `,
	} {
		f.Add([]byte(text), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, up bool) {
		o := parseState(text)
		if o == nil {
			return
		}
		desired := map[bool]string{true: "running", false: "stopped"}[up]
		after := o.withIntent(desired, 1795000000)
		if again := parseState(after).withIntent(desired, 1795000000); !bytes.Equal(again, after) {
			t.Errorf("%q became %q, and then %q", text, after, again)
		}
		if want, have := added(o), without(parseState(after)); want != have {
			t.Errorf("%q became %q: the rest is %q, want %q", text, after, have, want)
		}
	})
}

// without returns the text of a state without the two values.
func without(o *stateObject) string {
	desired, there := o.values["desired_state"]
	updated, both := o.values["updated_at"]
	text := string(o.text)
	cut := func(s span) { text = text[:s.start] + text[s.end:] }
	switch {
	case there && both && desired.start > updated.start:
		cut(desired)
		cut(updated)
	case there && both:
		cut(updated)
		cut(desired)
	case there:
		cut(desired)
	case both:
		cut(updated)
	}
	return text
}

// added returns the result of without after both values were added to the state.
func added(o *stateObject) string {
	keys, n := "", len(o.values)
	for _, key := range []string{"desired_state", "updated_at"} {
		if _, there := o.values[key]; there {
			continue
		}
		if n > 0 {
			keys += ", "
		}
		keys += strconv.Quote(key) + ": "
		n++
	}
	end := len(bytes.TrimRight(o.text[:bytes.LastIndexByte(o.text, '}')], " \t\r\n"))
	return without(&stateObject{text: slices.Concat(o.text[:end], []byte(keys), o.text[end:]), values: o.values})
}

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
