package check

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/topdown"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/example"
)

// A Cost is how long one rule package takes.
type Cost struct {
	Rule  string     `json:"rule"`
	Sizes []SizeCost `json:"sizes"`
	// Growth is the factor by which the time grows with ten times the profiles: 10 is
	// linear, 100 is every pair. It is 0 if fewer than two sizes were measured.
	Growth float64 `json:"growth"`
	// Warning is a sentence if the time grows faster than linearly, or if a size was not
	// measured.
	Warning string `json:"warning,omitempty"`
}

// A SizeCost is the cost for one number of profiles.
type SizeCost struct {
	Profiles int           `json:"profiles"`
	Took     time.Duration `json:"duration_ns"` // of the fastest run; 0 if it was not measured
	Error    string        `json:"error,omitempty"`
}

// steep is the growth that gets a warning. On a busy machine, linear work measures up to
// 15, and work for every pair of profiles about 100.
const steep = 25

// MeasureCost evaluates every package alone over homes of example profiles, of the given
// sizes in ascending order. A package that fails or exceeds the evaluator's time limit is
// not tried on a larger home. The result is sorted by package.
func MeasureCost(ctx context.Context, e *rego.Evaluator, sizes []int) ([]Cost, error) {
	costs := make([]Cost, len(e.Packages()))
	for _, size := range sizes {
		in := example.Home(size)
		in.Decisions = example.Decided(in, policy.ActionStart)
		document := rego.CompiledIn(rego.NewDocument(in))
		for i, p := range e.Packages() {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			costs[i].Rule = p.Name
			costs[i].measure(size, func() *policy.RuleFailure { return e.Observe(ctx, p.Name, document, ignoreBuiltinErrors) })
		}
	}
	for i := range costs {
		costs[i].judge()
	}
	slices.SortFunc(costs, func(a, b Cost) int { return strings.Compare(a.Rule, b.Rule) })
	return costs, nil
}

// ignoreBuiltinErrors: the example profiles need not fit the rules.
func ignoreBuiltinErrors(q *topdown.Query) *topdown.Query { return q.WithBuiltinErrorList(nil) }

// A size is measured enoughRuns times, but not again after enoughTime.
const (
	enoughRuns = 100
	enoughTime = 200 * time.Millisecond
)

// measure adds the time of the fastest run over a size.
func (c *Cost) measure(size int, run func() *policy.RuleFailure) {
	if n := len(c.Sizes); n > 0 && c.Sizes[n-1].Error != "" {
		return
	}
	s := SizeCost{Profiles: size}
	begun := time.Now()
	for runs := 0; runs == 0 || runs < enoughRuns && time.Since(begun) < enoughTime; runs++ {
		started := time.Now()
		if failure := run(); failure != nil {
			s.Took, s.Error = 0, failure.Error
			break
		}
		if took := max(time.Since(started), 1); runs == 0 || took < s.Took {
			s.Took = took
		}
	}
	c.Sizes = append(c.Sizes, s)
}

// judge computes the growth over the two largest steps between sizes. Over one step, the
// cost of a larger heap would look like growth.
func (c *Cost) judge() {
	n := len(c.Sizes)
	if n > 0 && c.Sizes[n-1].Error != "" {
		c.Warning = fmt.Sprintf("%d profiles: %s", c.Sizes[n-1].Profiles, c.Sizes[n-1].Error)
		n--
	}
	if n < 2 {
		return
	}
	small, large := c.Sizes[max(0, n-3)], c.Sizes[n-1]
	profiles := float64(large.Profiles) / float64(small.Profiles)
	times := float64(large.Took) / float64(small.Took)
	if profiles <= 1 {
		return
	}
	c.Growth = math.Pow(10, max(0, math.Log(times)/math.Log(profiles)))
	if c.Growth > steep && large.Took > time.Millisecond && c.Warning == "" {
		c.Warning = fmt.Sprintf("%.0f times as many profiles take %.0f times as long: look for a loop inside a loop over input.profiles",
			profiles, times)
	}
}
