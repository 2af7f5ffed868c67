package check

import (
	"strings"
	"testing"
	"time"
)

func TestCostJudgesGrowth(t *testing.T) {
	t.Parallel()
	ms := func(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
	for _, test := range []struct {
		why   string
		sizes []SizeCost
		warns string
	}{
		{"linear", []SizeCost{{Profiles: 10, Took: ms(0.1)}, {Profiles: 100, Took: ms(1)}, {Profiles: 1000, Took: ms(10)}, {Profiles: 10000, Took: ms(100)}}, ""},
		{"a larger heap", []SizeCost{{Profiles: 100, Took: ms(0.12)}, {Profiles: 1000, Took: ms(1.4)}, {Profiles: 10000, Took: ms(45)}}, ""},
		{"every pair", []SizeCost{{Profiles: 10, Took: ms(0.1)}, {Profiles: 100, Took: ms(10)}, {Profiles: 1000, Took: ms(1000)}}, "loop inside a loop"},
		{"every pair, not done", []SizeCost{{Profiles: 100, Took: ms(10)}, {Profiles: 1000, Error: "not done after 1s"}}, "1000 profiles: not done after 1s"},
		{"nothing to do", []SizeCost{{Profiles: 10, Took: 10}, {Profiles: 100, Took: 5000}}, ""},
		{"one size", []SizeCost{{Profiles: 10, Took: ms(1)}}, ""},
		{"none", nil, ""},
	} {
		c := Cost{Sizes: test.sizes}
		c.judge()
		if (c.Warning == "") != (test.warns == "") || !strings.Contains(c.Warning, test.warns) {
			t.Errorf("%s: warning %q, want %q", test.why, c.Warning, test.warns)
		}
	}
}
