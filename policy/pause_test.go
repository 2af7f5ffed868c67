package policy

import (
	"testing"
	"time"
)

// A pause ends at its time, and is remembered for a day, or as long as that of the others lasts.
func TestPauses(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)
	at := func(hours int) string { return now.Add(time.Duration(hours) * time.Hour).Format(time.RFC3339) }
	profiles := map[string]Pause{
		"open": {AtUnix: 1795000000, Reason: "a backup"}, "odd": {Until: "soon"}, "later": {Until: at(1), AtUnix: 1795000000}, "over": {Until: at(0), Up: true}, "old": {Until: at(-24)},
	}
	is := Pauses{Profiles: profiles, Others: &Pause{Until: at(0)}}.At(now)
	for name, ended := range map[string]bool{"open": false, "odd": false, "later": false, "over": true} {
		if pause, exists := is.Of(name); !exists || pause.Ended != ended {
			t.Errorf("%s: %+v, %t", name, pause, exists)
		}
	}
	for _, name := range []string{"old", "never"} {
		if pause, exists := is.Of(name); exists {
			t.Errorf("%s: %+v", name, pause)
		}
	}
	if got := is.Profiles["odd"].Until; got != "" {
		t.Errorf("an end that is no time is %q", got)
	}
	for name, want := range map[string]string{
		"open":  "root paused it at 2026-11-18T11:06:40Z (a backup); the pause ends by resume",
		"later": "root paused it at 2026-11-18T11:06:40Z; the pause ends at 2026-11-22T08:00:00Z or by resume",
	} {
		if got := is.Profiles[name].Text; got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	is = Pauses{Profiles: profiles, Others: &Pause{Until: at(1)}}.At(now)
	if pause, _ := is.Of("old"); !pause.Ended {
		t.Error("a pause of all begins anew for a profile that was resumed")
	}
	if pause, exists := is.Of("never"); !exists || pause.Ended || !pause.Up {
		t.Errorf("a profile that came later: %+v, %t", pause, exists)
	}
}
