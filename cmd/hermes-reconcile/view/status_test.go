package view

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
)

// crowd is the status of profiles with long names, long codes and much trouble.
func crowd(names ...string) *status.Document {
	now := time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)
	d := &status.Document{At: now, Profiles: map[string]status.Profile{}}
	for i, name := range names {
		d.Profiles[name] = status.Profile{
			Wanted: status.WantedUp, Slot: policy.SlotDown, Now: policy.NowDown, Restarts: 3, Signal: 9, Since: now.Add(time.Duration(-i) * 2 * time.Hour),
			Code: "quiet_hours_of_the_house", ServedBy: status.Nothing,
			Next: now.Add(11 * time.Hour), NextReason: "hold ends, quiet_hours_of_the_house",
		}
		d.Alarms = append(d.Alarms, policy.Alarm{Profile: name, Code: "not_up",
			Reason: fmt.Sprintf("wanted up, and it is not: its slot /run/service/gateway-%s is down", name)})
	}
	return d
}

func drawn(s Screen, d *status.Document) string {
	var out strings.Builder
	s.Status(&out, d)
	return out.String()
}

// No line is longer than the terminal, and what is cut says so: each word is one of the full
// table, or ends with an ellipsis.
func TestStatusFitsTheTerminal(t *testing.T) {
	t.Parallel()
	names := []string{"coder", "a-profile-with-a-name-that-is-much-longer-than-others", "日本語のプロファイルの名前", "writer"}
	d := crowd(names...)
	full := map[string]bool{}
	for _, word := range strings.Fields(drawn(Screen{}, d)) {
		full[word] = true
	}
	for width := 20; width <= 300; width++ {
		shown := drawn(Screen{Width: width}, d)
		for one := range strings.Lines(shown) {
			one = strings.TrimSuffix(one, "\n")
			if got := text.StringWidthWithoutEscSequences(one); got > width {
				t.Fatalf("on %d cells a line has %d: %q", width, got, one)
			}
		}
		for _, word := range strings.Fields(shown) {
			if !full[word] && !strings.HasSuffix(word, "…") {
				t.Fatalf("on %d cells a word is cut: %q in\n%s", width, word, shown)
			}
		}
		if !strings.Contains(shown, "coder") && width >= 80 {
			t.Fatalf("on %d cells coder is missing:\n%s", width, shown)
		}
	}
	for width := 1; width <= 80; width++ {
		drawn(Screen{Width: width}, crowd())
	}
	if wide := drawn(Screen{Width: 80, Wide: true}, d); !strings.Contains(wide, names[1]) || !strings.Contains(wide, "2026-11-23T07:00:00Z, hold ends, quiet_hours_of_the_house") {
		t.Errorf("-o wide cuts:\n%s", wide)
	}
}

// On 80 cells the least important columns are left out, and nothing else is cut.
func TestStatusOn80Cells(t *testing.T) {
	t.Parallel()
	d := crowd("coder", "日本語")
	d.Alarms = nil
	const want = `PROFILE  WANTED  NOW             REASON                  NEXT
coder    up      down, signal 9  quiet_hours_of_the_ho…  Mon 07:00, hold ends,…
日本語   up      down, signal 9  quiet_hours_of_the_ho…  Mon 07:00, hold ends,…
`
	if got, _, _ := strings.Cut(drawn(Screen{Width: 80}, d), "\n\n"); got+"\n" != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Many profiles with one trouble are one line, which counts and names a few.
func TestOneLineForEachCause(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprintf("p%02d", i))
	}
	d := crowd(names...)
	d.Alarms = append(d.Alarms,
		policy.Alarm{Code: "not_up", Reason: "about the container"},
		policy.Alarm{Code: "not_up", Reason: "about the container"},
		policy.Alarm{Code: "not_up", Profile: "other", Reason: "another reason"},
		policy.Alarm{Code: "stray", Profile: "a", Reason: "a gateway runs outside"},
		policy.Alarm{Code: "stray", Profile: "b", Reason: "a gateway runs outside"},
		policy.Alarm{Code: "foreign", Profile: "a", Reason: "gateway-a is another's"},
		policy.Alarm{Code: "foreign", Profile: "b", Reason: "gateway-b is another's"},
	)
	trouble, _, _ := strings.Cut(drawn(Screen{}, d), "\n\n")
	const want = `ALARM   60 profiles (p00, p01, p02, p03, p04 and 55 more): wanted up, and it is not: its slot /run/service/gateway-… is down
ALARM   about the container
ALARM   other: another reason
ALARM   a, b: a gateway runs outside
ALARM   a, b: gateway-… is another's`
	if trouble != want {
		t.Errorf("got\n%s\nwant\n%s", trouble, want)
	}
}

// The colours are the program's, whatever an agent wrote.
func TestColouredStatusIsClean(t *testing.T) {
	t.Parallel()
	for _, hostile := range hometest.Hostile() {
		d := crowd("coder", hostile)
		p := d.Profiles[hostile]
		p.Code, p.Reason, p.PriorState = hostile, hostile, policy.Maybe(hostile)
		d.Profiles[hostile] = p
		d.Alarms[1].Reason = hostile
		for _, s := range []Screen{{Colour: true}, {Colour: true, Width: 80}, {Colour: true, Wide: true}} {
			shown := drawn(s, d)
			if !strings.Contains(shown, "\x1b[31mALARM   \x1b[0m") {
				t.Fatalf("no colours: %q", shown)
			}
			for _, colour := range []text.Color{text.FgRed, text.FgGreen, text.Bold, text.Reset} {
				shown = strings.ReplaceAll(shown, colour.EscapeSeq(), "")
			}
			if shown != policy.Clean(shown) {
				t.Errorf("%.100q is drawn as %q", hostile, shown)
			}
		}
	}
}
