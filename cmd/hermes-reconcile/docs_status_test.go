package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/metrics"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
)

// documentedStatus returns the example of docs/status.md.
func documentedStatus(t *testing.T) (text string, d *status.Document) {
	t.Helper()
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(readDoc(t, "docs/status.md"))
	if block == nil {
		t.Fatal("docs/status.md shows no JSON of status")
	}
	d, err := parseStatus(block[1])
	if err != nil {
		t.Fatalf("docs/status.md shows JSON that is not a status document: %v", err)
	}
	return block[1], d
}

// parseStatus reads a status document so that its table can be drawn.
func parseStatus(text string) (*status.Document, error) {
	d := new(status.Document)
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(d); err != nil {
		return nil, err
	}
	var err error
	d.At, err = time.Parse(time.RFC3339, d.Time)
	for name, p := range d.Profiles { // null, of which the table knows more
		p.Wanted, p.Slot, p.Now = cmp.Or(p.Wanted, status.Nothing), cmp.Or(p.Slot, policy.SlotNone), cmp.Or(p.Now, policy.NowNothing)
		p.ServedBy, p.PriorState = cmp.Or(p.ServedBy, status.Nothing), cmp.Or(p.PriorState, "None")
		d.Profiles[name] = p
	}
	return d, err
}

// shownIn returns the output that a page shows for a command.
func shownIn(t *testing.T, page, command string) string {
	t.Helper()
	_, block, found := strings.Cut(readDoc(t, page), "```console\n$ "+command+"\n")
	if !found {
		t.Fatalf("%s does not show %q", page, command)
	}
	block, _, _ = strings.Cut(block, "```")
	return block
}

// The program writes the JSON of docs/status.md, and the table there shows the same
// situation.
func TestDocumentedStatus(t *testing.T) {
	text, d := documentedStatus(t)
	var again, table bytes.Buffer
	if err := view.Print(&again, "json", d, nil); err != nil {
		t.Fatal(err)
	}
	if again.String() != text {
		t.Errorf("the program writes\n%s\nand docs/status.md shows\n%s", again.String(), text)
	}
	view.Screen{}.Status(&table, d)
	if want := shownIn(t, "docs/status.md", "hermes-reconcile status"); table.String() != want {
		t.Errorf("the table is\n%s\nand docs/status.md shows\n%s", table.String(), want)
	}
}

// Every alarm of status is documented, and every metric is well formed.
func TestDocumentedAlarms(t *testing.T) {
	page := readDoc(t, "docs/status.md")
	codes := []string{engine.CodeVolume}
	for _, code := range regexp.MustCompile(`(?m)^\t[cC]ode\w+\s+= "(\w+)"`).FindAllStringSubmatch(readDoc(t, "engine/status/alarms.go"), -1) {
		codes = append(codes, code[1])
	}
	if len(codes) < 10 {
		t.Errorf("the codes are %v, want more of them", codes)
	}
	for _, code := range codes {
		if !strings.Contains(page, "| `"+code+"`") && !strings.Contains(page, ", `"+code+"` |") {
			t.Errorf("docs/status.md does not explain the alarm %s", code)
		}
	}
	_, d := documentedStatus(t)
	var text bytes.Buffer
	metrics.Print(&text, d)
	sample := regexp.MustCompile(`^hermes_reconcile_[a-z_]+(\{([a-z_]+="([^"\\]|\\.)*",?)+\})? [0-9.e+]+$`)
	comment := regexp.MustCompile(`^# (HELP hermes_reconcile_[a-z_]+ .+|TYPE hermes_reconcile_[a-z_]+ gauge)$`)
	for _, one := range strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n") {
		if !sample.MatchString(one) && !comment.MatchString(one) {
			t.Errorf("not a line of the Prometheus text format: %q", one)
		}
	}
	for _, name := range regexp.MustCompile(`hermes_reconcile_[a-z_]+`).FindAllString(page, -1) {
		if !strings.Contains(text.String(), "\n"+name+"{") && !strings.Contains(text.String(), "\n"+name+" ") {
			t.Errorf("docs/status.md names the metric %s, which does not exist", name)
		}
	}
}

// The program prints the table of docs/boot.md for such a ledger.
func TestDocumentedLog(t *testing.T) {
	record := func(at, image, state, action, code, exit, facts string) ledger.Run {
		l := ledger.Line{
			Time: at, Phase: "boot", Image: image, Action: "reconciled", Facts: map[string]string{"image": image, "mounts": "1"},
		}
		one := l
		one.Profile, one.Action, one.Code, one.PriorState, one.PriorExit = "coder", action, code, state, exit
		one.Facts, one.Policy.Revision = map[string]string{"prior_state": facts}, "6c1f0a2b9d3e"
		return ledger.Run{Time: at, Container: &l, Profiles: []ledger.Line{one}}
	}
	runs := ledger.Runs{Runs: []ledger.Run{
		record("2026-11-20T06:00:12Z", "v2026.9.19", "running", "started", "prior_intent", "clean", "1"),
		record("2026-11-21T22:10:03Z", "v2026.9.21", "running", "started", "prior_intent", "unclean", "1"),
		record("2026-11-22T06:00:11Z", "v2026.9.21", "stopped", "registered", "no_start_rule", "clean", "2"),
	}}
	var table bytes.Buffer
	view.History(&table, ledger.NewHistory(runs, 5))
	if want := shownIn(t, "docs/boot.md", "hermes-reconcile log coder"); table.String() != want {
		t.Errorf("the table is\n%s\nand docs/boot.md shows\n%s", table.String(), want)
	}
}
