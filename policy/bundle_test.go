package policy

import "testing"

// Which bundle is older than the one in force.
func TestGoesBack(t *testing.T) {
	t.Parallel()
	revision := func(r string) Bundle { return Bundle{Revision: r} }
	for _, test := range []struct {
		present, next Bundle
		want          bool
	}{
		{revision("7"), revision("8"), false},
		{revision("7"), revision("7"), false},
		{revision("10"), revision("9"), true},
		{revision("2026-11-28T00:00:00Z"), revision("2026-11-28T00:30:00+01:00"), true},
		{revision("2026-11-28T00:00:00Z"), revision("2026-11-28T00:00:01Z"), false},
		{revision("7"), revision("2026-11-28T00:00:00Z"), true},
		{revision("7"), revision("3f2a"), true},
		{revision("3f2a"), revision("7"), false},
		{revision("3f2a"), revision(""), false},
		{Bundle{Revision: "9", Sequence: "7"}, Bundle{Revision: "8", Sequence: "8"}, false},
		{Bundle{Revision: "8", Sequence: "8"}, Bundle{Revision: "9", Sequence: "7"}, true},
	} {
		if got := test.next.GoesBack(test.present); got != test.want {
			t.Errorf("%+v after %+v goes back: %t, want %t", test.next, test.present, got, test.want)
		}
	}
}
