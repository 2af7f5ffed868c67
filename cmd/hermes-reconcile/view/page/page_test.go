package page_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view/page"
	"hermes-reconcile/engine/explain"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/engine/timeline"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/workbench"
)

// now is the time of the example.
var now = time.Date(2026, 11, 27, 6, 30, 0, 0, time.UTC)

// A kind is how a profile of the example is, and was.
type kind struct {
	status status.Profile
	alarm  policy.Alarm
	action func(boot int) (action, code string)
}

// kinds are the kinds of profiles in the example, by name.
var kinds = map[string]kind{
	"assistant": {status.Profile{Wanted: "up", Now: "up", Slot: "up", PID: 4711, Since: now.Add(-50 * time.Hour), Code: "prior_intent", Reason: "desired state was running", ServedBy: "self"}, policy.Alarm{}, nil},
	"coder": {status.Profile{Wanted: "up", Now: "down", Slot: "up", Restarts: 7, Since: now.Add(-2 * time.Minute), Code: "prior_intent", Reason: "desired state was running", ServedBy: "-"},
		policy.Alarm{Code: status.CodeLoop, Reason: "in a crash loop: it ended 7 times in the last ten minutes, last: exit 1"}, nil},
	"nightly": {status.Profile{Wanted: "down", Now: "down", Slot: "down", Held: true, Since: now.Add(-90 * time.Minute), Code: "quiet_hours", Reason: "no work from 05:00 to 07:00", Next: now.Add(30 * time.Minute), NextReason: "hold ends, quiet_hours", ServedBy: "-"},
		policy.Alarm{}, func(boot int) (string, string) {
			if boot%2 == 0 {
				return "started", "prior_intent"
			}
			return "registered", "quiet_hours"
		}},
	"old":     {status.Profile{Wanted: "down", Now: "down", Slot: "down", Code: "no_start_rule", Reason: "no rule starts it; it has no state yet", ServedBy: "-"}, policy.Alarm{}, func(int) (string, string) { return "registered", "no_start_rule" }},
	"sales":   {status.Profile{Wanted: "down", Now: "down", Slot: "down", Held: true, Code: "paused", Reason: "paused by root: moving to a new phone number", Since: now.Add(-26 * time.Hour), ServedBy: "-"}, policy.Alarm{}, nil},
	"scratch": {status.Profile{Wanted: "?", Now: "?", Slot: "?", Code: "facts_incomplete", Reason: "its state could not be read in time"}, policy.Alarm{Code: "facts_incomplete", Reason: "what is wanted is not known: its state could not be read in time"}, nil},
	"support": {status.Profile{Wanted: "down", Now: "down", Slot: "down", Held: true, Since: now.Add(-30 * time.Hour), Code: "budget_exhausted", Reason: "it ended 5 times in 600 s", ServedBy: "-"}, policy.Alarm{},
		func(boot int) (string, string) {
			if boot > 22 {
				return "registered", "budget_exhausted"
			}
			return "started", "prior_intent"
		}},
}

// example is a document with so many profiles and boots, with something of everything.
func example(profiles, boots int) page.Document {
	running := true
	d := &status.Document{
		Time: now.Format(time.RFC3339), At: now, Policy: policy.Status{Source: "built-in, /etc/hermes-reconcile/policy", Revision: "6c1f0a2b9d3e"},
		Supervisor: status.Supervisor{ScanDir: "/run/service", Status: "recorded", Running: &running}, Volume: status.Volume{Readable: true, Owner: &status.Owner{Host: "gateway-1", Ours: true, SeenAt: now.Add(-6 * time.Second)}},
		Watch:  status.Watch{Enabled: true, Slot: "up", Running: true, Looked: now.Add(-12 * time.Second), Next: now.Add(30 * time.Minute), NextReason: "a hold of nightly ends (quiet_hours)"},
		Alarms: []policy.Alarm{{Code: "low_disk", Reason: "the volume has 3 % left: 1.2 GB of 40 GB"}}, Profiles: map[string]status.Profile{},
	}
	doc := page.Document{
		Host: "gateway-1", Version: "hermes-reconcile 0.2.0 (OPA v1.22.2, go1.26.8)", Image: "2026.11.2", BootID: "7f3a0000-0000-4000-8000-000000000000", Status: d,
		Explanations: map[string]*explain.Explanation{}, Settings: map[string]any{"crash_loop_deaths": 20, "quiet_hours": []any{"05:00", "07:00"}},
		Rules: []workbench.Package{
			{Name: "reconcile.rules.prior_intent", Title: "Start what was running", Layer: "built-in", Sets: []policy.Set{policy.SetStart}},
			{Name: "reconcile.rules.quiet_hours", Title: "Hold profiles at certain hours", Layer: "/etc/hermes-reconcile/policy", Sets: []policy.Set{policy.SetHold, policy.SetRecheck}},
		},
		Configuration: []config.Value{
			{Key: "home", Value: "/opt/data", Source: "default"}, {Key: "watch.listen", Value: "127.0.0.1:9632", Source: "file", Location: "/etc/hermes-reconcile/config.yaml:3:1"},
		},
	}
	names := make([]string, profiles)
	of := map[string]kind{}
	for i := range names {
		order := []string{"assistant", "coder", "nightly", "old", "sales", "scratch", "support"}
		names[i] = order[i%len(order)]
		k := kinds[names[i]]
		if i >= len(order) {
			names[i] = fmt.Sprintf("team-%02d", i)
			k = kinds["assistant"]
		}
		of[names[i]], d.Profiles[names[i]] = k, k.status
		if k.alarm.Code != "" {
			k.alarm.Profile = names[i]
			d.Alarms = append(d.Alarms, k.alarm)
		}
		doc.Explanations[names[i]] = explanation(names[i], k.status)
	}
	var runs []ledger.Run
	for boot := range boots {
		runs = append(runs, exampleBoot(boot, boots, names, of))
	}
	runs = append(runs, paused(of))
	doc.Timeline = timeline.New(d, runs)
	return doc
}

func explanation(name string, s status.Profile) *explain.Explanation {
	rule := policy.Contribution{Set: policy.SetStart, Rule: "reconcile.rules." + s.Code, Location: s.Code + ".rego:10", Reason: s.Reason, Code: s.Code}
	if s.Held {
		rule.Set = policy.SetHold
	}
	e := &explain.Explanation{
		Profile: name, Sentence: name + ": " + map[policy.Maybe]string{"up": "START", "down": "DOWN", "?": "UNDECIDED"}[s.Wanted] + " (" + s.Code + "): " + s.Reason, Verdict: explain.Verdict{Rule: rule.Rule, Location: rule.Location}, Contributions: []policy.Contribution{rule},
		Facts: []explain.Fact{
			{Name: "prior_state.desired", Value: "running", Present: true, Description: "the operator's intent, as the state file records it", WrittenBy: "agent", Rule: rule.Rule},
			{Name: "settings." + s.Code, Description: "data/settings.yaml, or settings in the configuration", WrittenBy: "operator", Rule: rule.Rule},
		},
		Policy: policy.Status{Source: "built-in, /etc/hermes-reconcile/policy", Revision: "6c1f0a2b9d3e"}, Image: "2026.11.2",
		Now: explain.Now{Slot: "down, and starts with its supervisor", Notes: []string{}}, Do: []string{"mend what ended it (see hermes-reconcile logs " + name + "), then: hermes-reconcile start " + name},
	}
	if s.Restarts > 0 {
		e.Now.Ended = "7 times since its supervisor started, 7 in the last ten minutes; last with exit code 1"
		e.Now.Said = []string{"startup_failed: token was rejected (gateway_state.json)"}
	}
	return e
}

// exampleBoot is one boot of the example. Boots are days apart, and some only minutes.
func exampleBoot(boot, boots int, names []string, of map[string]kind) ledger.Run {
	at := now.Add(-50 * time.Hour).Add(-time.Duration((boots-1-boot)*17) * time.Hour)
	if boot%5 == 4 && boot < boots-1 {
		at = at.Add(16*time.Hour + 50*time.Minute)
	}
	line := ledger.Line{Time: at.Format(time.RFC3339), Phase: policy.PhaseBoot, Image: "2026.11." + fmt.Sprint(boot*3/boots), Action: ledger.Reconciled, Policy: policy.Status{Revision: []string{"51157987bcdf", "6c1f0a2b9d3e"}[boot*2/boots]}}
	run := ledger.Run{Time: line.Time, Container: &line}
	for i, name := range names {
		if name == "scratch" && boot < boots/2 {
			continue
		}
		l := line
		l.Profile, l.Action, l.Code, l.Reason = name, "started", "prior_intent", "desired state was running"
		if of[name].action != nil {
			l.Action, l.Code = of[name].action(boot)
		} else if i >= len(kinds) && (boot+i)%9 == 0 {
			l.Action, l.Code = "registered", "quiet_hours"
		}
		if l.Action == "registered" && l.Code != "no_start_rule" {
			l.Rules = []policy.Contribution{{Set: policy.SetHold, Code: l.Code}}
		}
		run.Profiles = append(run.Profiles, l)
	}
	return run
}

// paused is the command that paused the profile sales.
func paused(of map[string]kind) ledger.Run {
	line := ledger.Line{Time: now.Add(-26 * time.Hour).Format(time.RFC3339), Phase: policy.PhaseApply, Command: "pause sales", Action: ledger.Reconciled}
	sales := line
	sales.Profile, sales.Action, sales.Code, sales.Reason = "sales", "registered", "paused", of["sales"].status.Reason
	sales.Rules = []policy.Contribution{{Set: policy.SetHold, Code: "paused"}}
	return ledger.Run{Time: line.Time, Container: &line, Profiles: []ledger.Line{sales}}
}

func written(d page.Document) string {
	var text bytes.Buffer
	page.Write(&text, d)
	return text.String()
}

// 100 profiles with 30 boots are less than 1 MB, and every place of the frame is filled.
func TestSize(t *testing.T) {
	text := written(example(100, 30))
	if len(text) > 1_000_000 || len(text) < 100_000 {
		t.Errorf("the page has %d bytes, want 100,000 to 1,000,000", len(text))
	}
	if place := regexp.MustCompile(`\{[a-z]+\}`).FindString(text); place != "" {
		t.Errorf("%s is not filled", place)
	}
}

// hostile are characters and texts that mean something in HTML, in a style sheet, in a URL, or to
// a terminal.
var hostile = []string{
	"<script>x</script>", "<img src=x onerror=x>", `"`, "'", "&", "<", ">", "-->", "<!--", "]]>", "</title>", "</style>", "javascript:x", "\x00", "\x1b[31m", "\u202e", "\u200b", "\xff", "`", "=", " ", "\n", "a",
}

// Whatever an agent writes stays text: the page has the same elements and attributes as with
// harmless text, and everything can be read on it.
func TestTextStaysText(t *testing.T) {
	allowed := map[string]bool{}
	for _, word := range strings.Fields(`html head meta title style body svg defs pattern rect path g line use text header h1 p nav a dl div dt dd main section h2 h3 ul li code b
		fieldset legend label input details summary span small lang charset name content http-equiv id width height patternunits class d x x1 x2 y y2 href
		type checked role aria-label aria-hidden text-anchor`) {
		allowed[word] = true
	}
	rapid.Check(t, func(t *rapid.T) {
		bad := strings.Join(rapid.SliceOfN(rapid.SampledFrom(hostile), 1, 6).Draw(t, "text"), "")
		d := example(7, 3)
		spoil(&d, bad)
		text := written(d)
		if clean := policy.Clean(text); clean != text {
			t.Fatal("the page has characters that are not printed as they are")
		}
		var shown strings.Builder
		for z := html.NewTokenizer(strings.NewReader(text)); ; {
			kind := z.Next()
			if kind == html.ErrorToken {
				break
			}
			token := z.Token()
			if kind == html.TextToken {
				shown.WriteString(token.Data)
				continue
			}
			if kind == html.CommentToken || kind != html.DoctypeToken && !allowed[token.Data] {
				t.Fatalf("%s", token)
			}
			for _, a := range token.Attr {
				if !allowed[a.Key] || a.Key == "href" && !strings.HasPrefix(a.Val, "#") {
					t.Fatalf("%s", token)
				}
			}
		}
		if n := strings.Count(shown.String(), policy.Clean(bad)); n < 20 {
			t.Fatalf("%q can be read %d times, want 20 or more", bad, n)
		}
	})
}

// spoil writes a text into everything that somebody else than this program may have written.
func spoil(d *page.Document, bad string) {
	p := d.Status.Profiles["coder"]
	p.Code, p.Reason, p.NextReason, p.Next = bad, bad, bad, now
	d.Status.Profiles[bad], d.Explanations[bad] = p, d.Explanations["coder"]
	d.Status.Profiles["only"+bad] = p // has no explanation
	e := d.Explanations["coder"]
	e.Sentence, e.Rule, e.Location = bad, bad, bad
	e.Contributions[0].Rule, e.Contributions[0].Reason, e.Contributions[0].Location, e.Contributions[0].Set = bad, bad, bad, policy.Set(bad)
	e.Facts[0] = explain.Fact{Name: bad, Value: bad, Present: true, Description: bad, WrittenBy: bad}
	e.Now = explain.Now{Slot: policy.Maybe(bad), ServedBy: policy.Maybe(bad), Ended: bad, Said: []string{bad}, Notes: []string{bad}}
	e.Do, e.Changed = []string{bad}, []string{bad}
	d.Timeline.Profiles[bad] = []timeline.Span{{Start: now, End: now, State: timeline.State(bad), Code: bad, Reason: bad, By: bad}}
	d.Timeline.Marks = append(d.Timeline.Marks, timeline.Mark{Time: now, What: bad, Was: bad, Is: bad})
	d.Status.Alarms = append(d.Status.Alarms, policy.Alarm{Profile: bad, Code: bad, Reason: bad}, policy.Alarm{Code: bad, Reason: bad, Profile: "nobody"})
	d.Status.Skip = []policy.Contribution{{Rule: bad, Reason: bad}}
	d.Status.Volume = status.Volume{Error: bad, Owner: &status.Owner{Host: bad}}
	d.Status.Watch.NextReason, d.Status.Supervisor.ScanDir, d.Status.Policy.Source, d.Status.Policy.Revision = bad, bad, bad, bad
	d.Host, d.Version, d.Image, d.BootID, d.Notes = bad, bad, bad, bad, []string{bad}
	d.Rules = append(d.Rules, workbench.Package{Name: bad, Title: bad, Layer: bad, Sets: []policy.Set{policy.Set(bad)}})
	d.Settings[bad], d.Configuration = bad, append(d.Configuration, config.Value{Key: bad, Value: bad, Source: bad, Location: bad})
}
