package engine

import (
	"maps"
	"slices"
	"strings"

	"hermes-reconcile/policy"
)

// blindRules returns the packages that read facts of a plug-in which failed. A plug-in that
// failed decides nothing, so such a package counts as one that broke: its holds are unknown.
// With IgnoreRuleError the package decides itself, by the status of the plug-in.
func blindRules(s policy.Status, in policy.Input, onRuleError OnRuleError) []policy.RuleFailure {
	if len(s.External) == 0 || onRuleError != HoldOnRuleError {
		return nil
	}
	var blind []policy.RuleFailure
	failed := policy.FailedPlugins(in.Container)
	for _, rule := range slices.Sorted(maps.Keys(s.External)) {
		var why []string
		for _, plugin := range slices.Sorted(maps.Keys(failed)) {
			reads := s.External[rule]
			if plugin == policy.AnyPlugin || slices.Contains(reads, plugin) || slices.Contains(reads, policy.AnyPlugin) {
				why = append(why, plugin+" "+failed[plugin])
			}
		}
		if len(why) > 0 {
			text := "it reads facts of plug-ins that gave none: " + strings.Join(why, "; ")
			blind = append(blind, policy.RuleFailure{Rule: rule, Error: text, Blind: true})
		}
	}
	return blind
}

// withoutBlind drops what the packages contributed, but for their alarms and rechecks.
func withoutBlind(e policy.Evaluation, blind []policy.RuleFailure) policy.Evaluation {
	if len(blind) == 0 {
		return e
	}
	e.Contributions = slices.DeleteFunc(slices.Clone(e.Contributions), func(c policy.Contribution) bool {
		return c.Set != policy.SetAlarm && c.Set != policy.SetRecheck && slices.ContainsFunc(blind, func(f policy.RuleFailure) bool { return f.Rule == c.Rule })
	})
	return e
}
