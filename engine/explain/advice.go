package explain

import (
	"fmt"
	"slices"

	"hermes-reconcile/policy"
)

// advice says what an operator does now, the most likely thing first.
func (s Subject) advice(e *Explanation) []string {
	slot := s.slotOf()
	switch {
	case e.Now.ServedBy != "":
		return []string{fmt.Sprintf("nothing: the gateway of %s serves it, see hermes-reconcile explain %s", e.Now.ServedBy, e.Now.ServedBy)}
	case e.Action != policy.ActionStart:
		do := s.lists(e)
		for _, c := range e.Changes {
			if c.Do != "" {
				do = append(do, c.Do)
			}
		}
		return do
	case slot.RecentDeaths >= policy.LoopDeaths:
		return []string{"if it ends again: " + s.mendThen("restart"), "until then: hermes-reconcile stop " + s.Profile}
	case slot.Up:
		return []string{"nothing: it is up"}
	case slot.ExitCode != nil || len(e.Now.Said) > 0:
		return []string{s.mendThen("start")}
	case len(e.Alarms) > 0:
		return []string{"see the alarm"}
	}
	return []string{"nothing, the next boot starts it; to start it now: hermes-reconcile start " + s.Profile}
}

// lists names the settings that list the profile, of those that the deciding rule reads.
func (s Subject) lists(e *Explanation) []string {
	do := []string{}
	for _, f := range e.Facts {
		names, isList := f.Value.([]any)
		if f.Path[0] == "settings" && f.Rule == e.Rule && isList && slices.Contains(names, any(s.Profile)) {
			do = append(do, fmt.Sprintf("if it should run: take %s out of %s", s.Profile, f.Name))
		}
	}
	return do
}

func (s Subject) mendThen(command string) string {
	return fmt.Sprintf("mend what ended it (see hermes-reconcile logs %s), then: hermes-reconcile %s %s", s.Profile, command, s.Profile)
}
