package main

import (
	"context"
	"encoding/json"
	"testing"
	"testing/fstest"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/workbench"
)

// installed returns a recipe as a policy directory of an operator would hold it.
func installed(r workbench.Recipe) rego.Layer {
	files := fstest.MapFS{"data/settings.yaml": {Data: []byte(r.Settings)}}
	for name, text := range r.Files {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return rego.Layer{Name: r.Name, Files: files}
}

// Every recipe names only existing facts.
func TestRecipesFitTheFacts(t *testing.T) {
	schema := policy.InputSchema
	for _, r := range workbench.Recipes() {
		t.Run(r.Name, func(t *testing.T) {
			if _, err := rego.Load([]rego.Layer{rego.BuiltIn(), installed(r)}, rego.Options{Schema: schema}); err != nil {
				t.Error(err)
			}
		})
	}
}

// A look at each moment that the rule names finds every begin and end of the quiet hours, also
// on the days of clock changes.
func TestQuietHoursAreFoundByTheNextLook(t *testing.T) {
	var quiet rego.Layer
	for _, r := range workbench.Recipes() {
		if r.Name == "quiet_hours" {
			quiet = installed(r)
		}
	}
	running := map[string]policy.Facts{"coder": {"prior_state": json.RawMessage(`{"status": "recorded", "desired": "running"}`)}}
	for _, test := range []struct{ zone, from, to, day string }{
		{"Europe/Zurich", "22:00", "07:00", "2027-03-28"},
		{"Europe/Zurich", "22:00", "07:00", "2026-10-25"},
		{"Europe/Zurich", "02:30", "05:00", "2027-03-28"},
		{"Europe/Zurich", "02:30", "02:50", "2026-10-25"},
		{"Europe/Zurich", "22:00", "02:30", "2026-10-25"},
		{"Europe/Zurich", "00:00", "23:50", "2027-03-28"},
		{"America/New_York", "22:00", "07:00", "2027-03-14"},
		{"America/New_York", "01:30", "12:00", "2026-11-01"},
		{"Australia/Lord_Howe", "01:50", "02:10", "2026-10-04"}, // half an hour
	} {
		settings := map[string]any{"quiet_hours_zone": test.zone, "quiet_hours_from": test.from, "quiet_hours_to": test.to}
		rules, err := rego.Load([]rego.Layer{rego.BuiltIn(), quiet}, rego.Options{Settings: settings})
		if err != nil {
			t.Fatal(err)
		}
		begin, err := time.Parse(time.DateOnly, test.day)
		if err != nil {
			t.Fatal(err)
		}
		begin = begin.Add(-24 * time.Hour)
		var next time.Time
		var was policy.Action
		looks := 0
		for now := begin; now.Before(begin.Add(72 * time.Hour)); now = now.Add(10 * time.Minute) {
			in := policy.Input{Phase: policy.PhaseApply, Now: policy.NewNow(now), Profiles: running}
			d := engine.Decide(context.Background(), rules, in, engine.HoldOnRuleError)
			is := d.Profiles["coder"].Action
			if now.Before(next) && is != was {
				t.Errorf("%v: %s at %v, and the next look is at %v", test, is, now, next)
			}
			if !now.Before(next) {
				at, why, ok := engine.NextLook(d, in.Now)
				if !ok {
					t.Fatalf("%v: no next look at %v: %s %+v", test, now, why, d.Alarms)
				}
				looks, next = looks+1, at
			}
			was = is
		}
		if looks < 6 || looks > 8 { // a begin and an end each day
			t.Errorf("%v: %d looks in three days", test, looks)
		}
	}
}
