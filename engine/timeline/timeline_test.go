package timeline_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/engine/timeline"
	"hermes-reconcile/policy"
)

// morning is 06:00 of a day, and after so many minutes.
func morning(minutes int) time.Time { return time.Date(2026, 11, 22, 6, minutes, 0, 0, time.UTC) }

// boot is a run of the ledger. Each profile is given as "name action code", after a hold with a
// "held".
func boot(minutes int, image, revision string, profiles ...string) ledger.Run {
	line := ledger.Line{Time: morning(minutes).Format(time.RFC3339), Phase: policy.PhaseBoot, Image: image, Action: ledger.Reconciled, Policy: policy.Status{Revision: revision}}
	run := ledger.Run{Time: line.Time, Container: &line}
	for _, p := range profiles {
		words := strings.Fields(p)
		of := line
		of.Profile, of.Action, of.Code, of.Reason = words[0], words[1], words[2], "because"
		if len(words) > 3 {
			of.Rules = []policy.Contribution{{Set: policy.SetHold, Code: of.Code}}
		}
		run.Profiles = append(run.Profiles, of)
	}
	return run
}

// by makes a run that of a command.
func by(command string, run ledger.Run) ledger.Run {
	run.Container.Phase, run.Container.Command = policy.PhaseApply, command
	for i := range run.Profiles {
		run.Profiles[i].Phase, run.Profiles[i].Command = policy.PhaseApply, command
	}
	return run
}

func statusAt(minutes int, profiles map[string]status.Profile) *status.Document {
	return &status.Document{At: morning(minutes), Profiles: profiles, Alarms: []policy.Alarm{{Profile: "loop", Code: status.CodeLoop}}}
}

func shown(spans []timeline.Span) string {
	var text []string
	for _, s := range spans {
		text = append(text, fmt.Sprintf("%s-%s %s (%s, %s)", s.Start.Format("15:04"), s.End.Format("15:04"), s.State, s.Code, s.By))
	}
	return strings.Join(text, "\n")
}

// A profile is what each pass left it, until the next one or until its supervisor saw it end.
func TestSpans(t *testing.T) {
	runs := []ledger.Run{
		boot(0, "1", "r1", "coder started prior_intent", "night registered quiet_hours held", "old registered no_start_rule", "gone started prior_intent"),
		by("watch", boot(10, "1", "r2", "night started prior_intent")),
		boot(20, "2", "r2", "coder started prior_intent", "night registered budget_exhausted held"),
		by("pause coder", boot(30, "2", "r2", "coder registered paused held")),
		by("resume coder", boot(40, "2", "r2", "coder started prior_intent")),
	}
	got := timeline.New(statusAt(60, map[string]status.Profile{
		"coder": {Wanted: status.WantedUp, Now: policy.NowDown, Code: "prior_intent", Since: morning(50)},
		"night": {Wanted: status.WantedDown, Now: policy.NowDown, Code: "budget_exhausted", Held: true, Since: morning(20)},
		"old":   {Wanted: status.WantedDown, Now: policy.NowDown, Code: "no_start_rule", Since: morning(55)},
		"loop":  {Wanted: status.WantedUp, Now: policy.NowUp, Code: "prior_intent", Since: morning(59)},
		"new":   {Wanted: status.WantedUp, Now: policy.NowUp, Code: "prior_intent", Since: morning(45)},
	}), runs)
	for name, want := range map[string]string{
		"coder": "06:00-06:30 up (prior_intent, boot)\n06:30-06:40 paused (paused, pause coder)\n06:40-06:50 up (prior_intent, resume coder)\n06:50-07:00 down (prior_intent, )",
		"night": "06:00-06:10 held (quiet_hours, boot)\n06:10-06:20 up (prior_intent, watch)\n06:20-07:00 crash loop (budget_exhausted, boot)",
		"old":   "06:00-06:20 down (no_start_rule, boot)\n06:55-07:00 down (no_start_rule, )", // the boot at 06:20 did not name it
		"loop":  "06:59-07:00 crash loop (prior_intent, )",
		"new":   "06:45-07:00 up (prior_intent, )",
	} {
		if text := shown(got.Profiles[name]); text != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, text, want)
		}
	}
	if _, ok := got.Profiles["gone"]; ok {
		t.Error("a profile that is gone is in the timeline")
	}
	if want := "[{2026-11-22 06:10:00 +0000 UTC policy r1 r2} {2026-11-22 06:20:00 +0000 UTC image 1 2}]"; fmt.Sprint(got.Marks) != want {
		t.Errorf("marks %v, want %s", got.Marks, want)
	}
	if len(got.Boots) != 2 || !got.Start.Equal(morning(0)) || !got.End.Equal(morning(60)) {
		t.Errorf("%v, from %v to %v", got.Boots, got.Start, got.End)
	}
}

// Only the newest boots count, and a line that an agent made up does not reach beyond now, nor
// back in time.
func TestBounds(t *testing.T) {
	runs := []ledger.Run{{Time: "never"}, {}, {Time: "x", Profiles: []ledger.Line{{Time: "x", Profile: "coder"}}}}
	for i := range 40 {
		runs = append(runs, boot(i, fmt.Sprint(i%2), "r", fmt.Sprintf("coder started c%d", i), "coder registered twice"))
	}
	runs = append(runs, by("apply", boot(38, "9", "r", "coder started past")), by("apply", boot(9000, "9", "r", "coder started future")))
	got := timeline.New(statusAt(60, map[string]status.Profile{"coder": {Now: policy.NowUnknown}}), runs)
	if len(got.Boots) != timeline.MostBoots || !got.Boots[0].Equal(morning(10)) || !got.Boots[29].Equal(morning(39)) || len(got.Marks) != 29 {
		t.Errorf("%d boots: %v, marks %v", len(got.Boots), got.Boots, got.Marks)
	}
	spans := got.Profiles["coder"]
	for _, s := range spans {
		if s.Code == "future" || s.Code == "past" || s.Code == "twice" || s.End.Before(morning(10)) {
			t.Errorf("%+v", s)
		}
	}
	if last := spans[len(spans)-1]; last.State != timeline.Unknown || !last.Start.Equal(morning(60)) {
		t.Errorf("the last span is %+v", last)
	}
	empty := timeline.New(statusAt(0, nil), nil)
	if at := empty.Place(morning(0)); at != 1 {
		t.Errorf("now is at %v, want 1", at)
	}
}

// Short times can be seen beside long ones, and no time is out of the picture.
func TestPlace(t *testing.T) {
	got := timeline.Timeline{Start: morning(0), Boots: []time.Time{morning(0), morning(5)}, End: morning(5).AddDate(0, 1, 0)}
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{morning(-60), "0.00"}, {morning(0), "0.00"}, {morning(5), "0.10"}, {morning(5).AddDate(0, 0, 15), "0.55"}, {got.End, "1.00"}, {got.End.AddDate(1, 0, 0), "1.00"},
	} {
		if at := fmt.Sprintf("%.2f", got.Place(c.at)); at != c.want {
			t.Errorf("%v is at %s, want %s", c.at, at, c.want)
		}
	}
}
