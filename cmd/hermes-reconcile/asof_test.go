package main

import (
	"testing"
	"time"
)

// A time without a date is the next one, also over the change of the clock.
func TestNextTime(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 28, 23, 30, 0, 0, berlin) // a Saturday; the clock changes at night
	for text, want := range map[string]string{
		"23:31": "2026-03-28T23:31:00+01:00", "23:30": "2026-03-29T23:30:00+02:00", "07:00": "2026-03-29T07:00:00+02:00",
		"Sat 23:30": "2026-04-04T23:30:00+02:00", "sunday 07:00": "2026-03-29T07:00:00+02:00", "Mon 07:00": "2026-03-30T07:00:00+02:00",
		"+3h": "2026-03-29T03:30:00+02:00", "-90m": "2026-03-28T22:00:00+01:00", "2026-12-24T18:00:00Z": "2026-12-24T19:00:00+01:00",
		"": "", "24:00": "", "Mon": "", "Mun 07:00": "", "3": "", "2026-12-24": "2026-12-24T00:00:00+01:00", "2026-12-24 07:00": "2026-12-24T07:00:00+01:00", "Mon  07:00": "",
	} {
		got, ok := nextTime(text, now)
		if !ok && want == "" {
			continue
		}
		if text := got.Format(time.RFC3339); !ok || text != want {
			t.Errorf("%q is %s (%v), want %s", text, text, ok, want)
		}
	}
}
