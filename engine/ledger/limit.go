package ledger

import (
	"cmp"
	"encoding/json"
	"slices"

	"hermes-reconcile/policy"
)

// The sizes in bytes at which logs are rotated. Upstream rotates its logs at the first. The
// ledger has longer lines; its limit keeps some thousands of them. The lines of one pass
// stay below the limit.
const (
	BootLogLimit = 256 << 10
	Limit        = 4 << 20
)

// marshal returns the line in JSON with its end. Long texts are cut. A line that Read would
// leave out for its length loses the ends of its lists until it fits, and counts them.
func (l Line) marshal() ([]byte, error) {
	for _, text := range []*string{&l.Image, &l.Profile, &l.Code, &l.Reason, &l.PriorState, &l.PriorExit, &l.Policy.Source} {
		*text = policy.Cut(*text)
	}
	l.Errors, l.Policy.Errors = fewErrors(l.Errors), fewErrors(l.Policy.Errors)
	l.Operations = slices.Clone(l.Operations)
	for i := range l.Operations {
		l.Operations[i].Error = policy.Cut(l.Operations[i].Error)
	}
	l.Alarms = FewAlarms(l.Alarms)
	for {
		text, err := json.Marshal(l)
		if err != nil {
			return nil, err
		}
		text = append([]byte(policy.Clean(string(text))), '\n')
		if len(text) <= MaxLine {
			return text, nil
		}
		if len(l.Rules)+len(l.Operations)+len(l.Alarms)+len(l.Errors) == 0 {
			l.LeftOut += len(l.Facts)
			l.Facts, l.Policy.Errors = nil, nil
			continue
		}
		l.Rules, l.Operations = half(l.Rules, &l.LeftOut), half(l.Operations, &l.LeftOut)
		l.Alarms, l.Errors = half(l.Alarms, &l.LeftOut), half(l.Errors, &l.LeftOut)
	}
}

// half returns the first half of a list, and counts the rest.
func half[T any](list []T, leftOut *int) []T {
	n := len(list) / 2
	*leftOut += len(list) - n
	return list[:n]
}

// fit returns the lines of the profiles, by name, that together have at most room bytes, and
// how many it leaves out: lines of profiles without a slot before those of profiles that
// wait, and of profiles that start last; of these, the longest first.
func (p Pass) fit(names []string, lines [][]byte, room int) (kept []byte, leftOut int) {
	rank := func(i int) int {
		return slices.Index([]policy.Action{policy.ActionSkip, policy.ActionDown, policy.ActionStart}, p.Decisions.Profiles[names[i]].Action)
	}
	order := make([]int, len(lines))
	total := 0
	for i, l := range lines {
		order[i] = i
		total += len(l)
	}
	if total > room {
		slices.SortFunc(order, func(a, b int) int {
			return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(len(lines[b]), len(lines[a])), cmp.Compare(b, a))
		})
	}
	for total > room {
		total -= len(lines[order[leftOut]])
		lines[order[leftOut]] = nil
		leftOut++
	}
	return slices.Concat(lines...), leftOut
}
