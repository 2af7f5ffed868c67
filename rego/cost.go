package rego

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"

	"hermes-reconcile/policy"
)

// CostSizes are the numbers of profiles for which Cost measures by itself.
var CostSizes = []int{10, 100, 1_000, 10_000}

// A Cost is what one rule package takes.
type Cost struct {
	Rule  string     `json:"rule"`
	Sizes []SizeCost `json:"sizes"`
	// Growth is by how much the time grows when the profiles grow tenfold: 10 is
	// linear, 100 is every pair. It is 0 where fewer than two sizes were done.
	Growth float64 `json:"growth"`
	// Warning is a sentence where the time grows faster than linearly, or a size
	// was not done.
	Warning string `json:"warning,omitempty"`
}

// A SizeCost is the cost for one number of profiles.
type SizeCost struct {
	Profiles int           `json:"profiles"`
	Took     time.Duration `json:"duration_ns"` // the best of some runs; 0 where it was not done
	Error    string        `json:"error,omitempty"`
}

// steep is the growth from which a package is warned about: linear work measures
// up to 15 on a busy machine, work for every pair of profiles about 100.
const steep = 25

// MeasureCost evaluates every package alone over homes of made-up profiles, for
// each of the sizes in turn. A package that was not done within the evaluator's
// time limit is not tried on a larger home.
func (e *Evaluator) MeasureCost(ctx context.Context, sizes []int) ([]Cost, error) {
	slices.Sort(sizes)
	costs := make([]Cost, len(e.packages))
	for i, p := range e.packages {
		costs[i].Rule = p.name
	}
	for _, size := range sizes {
		in := madeUpHome(size)
		document, err := inputTerm(in)
		if err != nil {
			return nil, err
		}
		in.Decisions = allDecided(in, policy.ActionStart)
		decided, err := inputTerm(in)
		if err != nil {
			return nil, err
		}
		for i, p := range e.packages {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			seen := document
			if p.stage == policy.StageAfter {
				seen = decided
			}
			costs[i].measure(size, func() *policy.RuleFailure {
				return e.run(ctx, p, seen, in.Now, nil)
			})
		}
	}
	for i := range costs {
		costs[i].judge()
	}
	slices.SortFunc(costs, func(a, b Cost) int { return slices.Compare([]string{a.Rule}, []string{b.Rule}) })
	return costs, nil
}

// A size is measured for so long, and a few times, unless that takes too long.
const (
	enoughTime = 50 * time.Millisecond
	enoughRuns = 3
	tooLong    = time.Second
)

func (c *Cost) measure(size int, run func() *policy.RuleFailure) {
	if n := len(c.Sizes); n > 0 && c.Sizes[n-1].Error != "" {
		return
	}
	s := SizeCost{Profiles: size}
	begun := time.Now()
	for runs := 0; ; runs++ {
		if spent := time.Since(begun); runs > 0 && (spent > tooLong || spent > enoughTime && runs >= enoughRuns) {
			break
		}
		started := time.Now()
		if failure := run(); failure != nil {
			s.Took, s.Error = 0, failure.Error
			break
		}
		if took := time.Since(started); s.Took == 0 || took < s.Took {
			s.Took = max(took, 1)
		}
	}
	c.Sizes = append(c.Sizes, s)
}

// judge takes the growth over the two largest steps between sizes: over one alone,
// what a larger heap costs would be taken for growth.
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

// run evaluates one package for its cost or, with a tracer, for where it is; what
// it contributes is dropped.
func (e *Evaluator) run(ctx context.Context, p rulePackage, document *ast.Term, now policy.Now, tracer topdown.QueryTracer) *policy.RuleFailure {
	txn, err := e.store.NewTransaction(ctx, storage.TransactionParams{})
	if err != nil {
		return &policy.RuleFailure{Rule: p.name, Error: err.Error()}
	}
	defer e.store.Abort(ctx, txn)
	cancel := topdown.NewCancel()
	limit := time.AfterFunc(e.timeout, cancel.Cancel)
	defer limit.Stop()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	query := topdown.NewQuery(p.query).WithCompiler(e.compiler).WithStore(e.store).WithTransaction(txn).
		WithInput(document).WithCancel(cancel).WithTime(time.Unix(0, now.UnixNS))
	if tracer != nil {
		query = query.WithQueryTracer(tracer)
	}
	err = query.Iter(ctx, func(topdown.QueryResult) error { return nil })
	switch {
	case topdown.IsCancel(err):
		return &policy.RuleFailure{Rule: p.name, Error: fmt.Sprintf("not done after %s", e.timeout)}
	case err != nil:
		return failure(p, err)
	}
	return nil
}

// madeUpHome is the mixed example with as many profiles as asked for: the
// example's own over and over, each with a name and a prior state of its own.
func madeUpHome(size int) policy.Input {
	in := exampleInput("mixed")
	models := valuesOf(in.Profiles)
	in.Profiles = make(map[string]policy.Facts, size)
	for n := range size {
		facts := maps.Clone(models[n%len(models)])
		facts["tokens"] = json.RawMessage(fmt.Sprintf(
			`{"status": "recorded", "tokens": [{"scope": "telegram", "fingerprint": "%016x", "source": ".env", "name": "TELEGRAM_BOT_TOKEN"}], "env_link": false, "config_status": "recorded"}`, n/2))
		name := fmt.Sprintf("p%05d", n)
		if n == 0 {
			name = "default"
		}
		in.Profiles[name] = facts
	}
	return in
}
