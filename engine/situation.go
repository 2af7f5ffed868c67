package engine

import (
	"errors"
	"fmt"

	"hermes-reconcile/policy"
)

// A Situation is the facts, and how complete they are.
type Situation struct {
	Input policy.Input
	// VolumeErr is why the facts about profiles are incomplete. A profile that is not
	// in the input may then exist.
	VolumeErr error
}

// Complete reports whether every profile of the volume is in the input.
func (s Situation) Complete() bool { return s.VolumeErr == nil && s.Unlisted() == "" }

// Unlisted returns why there may be profiles that are not in the input although the
// volume answers, or "".
func (s Situation) Unlisted() string {
	dir := policy.ProfilesDirOf(s.Input.Container)
	switch {
	case dir.Truncated:
		return fmt.Sprintf("the directory profiles has more entries than the %d that were looked at", dir.Entries)
	case dir.Status == policy.StatusUnreadable:
		return "the directory profiles cannot be listed: " + dir.Error
	}
	return ""
}

// Uncertain returns why a profile that is not in the input may exist, or "" when it is
// gone for sure and its slot may go too. A missing directory of profiles is more likely
// another volume, or none, than the end of all profiles.
func (s Situation) Uncertain() string {
	switch {
	case s.VolumeErr != nil:
		return s.VolumeErr.Error()
	case s.Unlisted() != "":
		return s.Unlisted()
	case policy.ProfilesDirOf(s.Input.Container).Status == policy.StatusMissing:
		return "the directory profiles is missing"
	}
	return ""
}

// OrUncertain returns another error in place of an UnknownProfile when the profile may exist.
func (s Situation) OrUncertain(err error) error {
	unknown, ok := errors.AsType[*UnknownProfile](err)
	if why := s.Uncertain(); ok && why != "" {
		return fmt.Errorf("whether there is a profile %q is not known: %s", unknown.Name, why)
	}
	return err
}

// CodeVolume is the code of the alarm about profiles that may be missing.
const CodeVolume = "volume"

// CodeTimeZone is the code of the alarm about a time zone that is none.
const CodeTimeZone = "time_zone"

// Alarms returns the alarms about profiles that may be missing, and about the clock.
func (s Situation) Alarms() []policy.Alarm {
	var alarms []policy.Alarm
	if problem := s.Input.Now.Problem; problem != "" {
		alarms = append(alarms, policy.Alarm{Code: CodeTimeZone, Reason: problem})
	}
	if s.VolumeErr != nil {
		return append(alarms, policy.Alarm{Code: CodeVolume, Reason: fmt.Sprintf("the facts about profiles are not complete: %v", s.VolumeErr)})
	}
	if why := s.Unlisted(); why != "" {
		alarms = append(alarms, policy.Alarm{Code: CodeVolume, Reason: why})
	}
	return alarms
}
