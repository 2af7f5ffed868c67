package policy

import "time"

// A Pause keeps a profile down at root's command, whatever its intent is. When the pause ends,
// what was up comes up again. An ended pause is remembered for a day, because a gateway that
// recorded no intent starts for no other reason.
type Pause struct {
	Until  string `json:"until,omitempty" about:"when the pause ends, as RFC 3339; absent: with resume"`
	Reason string `json:"reason,omitempty" about:"why, in the operator's words"`
	AtUnix int64  `json:"at_unix" about:"when the pause was ordered, in seconds since 1970"`
	Up     bool   `json:"up" about:"the gateway was to be up when the pause began"`
	Ended  bool   `json:"ended" about:"the pause is over"`
	Text   string `json:"text,omitempty" about:"the same as a sentence, for the hold"`
}

// Pauses are all pauses of a container. The fact "pauses" has them, and so has PausesFile.
type Pauses struct {
	Profiles map[string]Pause `json:"profiles" about:"pauses by profile" of:"the pause of one profile"`
	Others   *Pause           `json:"others,omitempty" about:"the pause of every profile that has none of its own"`
}

// PausesFile is the file in the state directory that lists the pauses. It is beside
// OverridesFile for the same reason: it decides what root starts.
const PausesFile = "paused.json"

const CodePaused = "paused"

func PausesOf(container Facts) Pauses { return read[Pauses](container, "pauses") }

// Of returns the pause of a profile. A profile that came during a pause of all has been up for
// the purpose of that pause: the rules decide about it alone.
func (p Pauses) Of(profile string) (pause Pause, exists bool) {
	if pause, exists = p.Profiles[profile]; exists || p.Others == nil {
		return pause, exists
	}
	pause = *p.Others
	pause.Up = true
	return pause, true
}

// Sentence says when and why it was paused, and what ends that.
func (p Pause) Sentence() string {
	text := "root paused it at " + time.Unix(p.AtUnix, 0).UTC().Format(time.RFC3339)
	if p.Reason != "" {
		text += " (" + p.Reason + ")"
	}
	if p.Until != "" {
		return text + "; the pause ends at " + p.Until + " or by resume"
	}
	return text + "; the pause ends by resume"
}

const remembered = 24 * time.Hour

// At returns the pauses as they are at a time. A pause whose end cannot be read has none.
func (p Pauses) At(now time.Time) Pauses {
	over := func(pause *Pause, by time.Duration) bool {
		until, err := time.Parse(time.RFC3339, pause.Until)
		if err != nil {
			pause.Until = ""
		}
		return err == nil && !now.Before(until.Add(by))
	}
	is := Pauses{Profiles: map[string]Pause{}}
	if p.Others != nil && !over(p.Others, 0) {
		is.Others = p.Others
		is.Others.Text = is.Others.Sentence()
	}
	for name, pause := range p.Profiles {
		// Without the ended pause, that of the others would count.
		if is.Others != nil || !over(&pause, remembered) {
			pause.Ended, pause.Text = over(&pause, 0), pause.Sentence()
			is.Profiles[name] = pause
		}
	}
	return is
}
