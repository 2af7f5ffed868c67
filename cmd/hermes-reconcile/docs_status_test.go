package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/engine/ledger"
)

// documentedStatus is the example of docs/operations.md.
func documentedStatus(t *testing.T) (text string, d *statusDocument) {
	t.Helper()
	section := sectionOf(t, "Status")
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(section)
	if block == nil {
		t.Fatal("docs/operations.md shows no JSON of status")
	}
	d = new(statusDocument)
	decoder := json.NewDecoder(strings.NewReader(block[1]))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(d); err != nil {
		t.Fatalf("docs/operations.md shows a document that is none of status: %v", err)
	}
	d.now = timeOf(t, d.Time)
	for name, p := range d.Profiles {
		if p.Since != "" {
			p.sinceUnix = timeOf(t, p.Since).Unix()
			d.Profiles[name] = p
		}
	}
	return block[1], d
}

func timeOf(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// sectionOf is a section of docs/operations.md.
func sectionOf(t *testing.T, title string) string {
	t.Helper()
	_, section, found := strings.Cut(readDoc(t, "docs/operations.md"), "\n## "+title+"\n")
	if !found {
		t.Fatalf("docs/operations.md has no section %q", title)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

func shownIn(t *testing.T, section, command string) string {
	t.Helper()
	_, block, found := strings.Cut(section, "```console\n$ "+command+"\n")
	if !found {
		t.Fatalf("docs/operations.md does not show %q", command)
	}
	block, _, _ = strings.Cut(block, "```")
	return block
}

// The JSON of the document is what the program writes, and its table shows the same
// situation.
func TestDocumentedStatus(t *testing.T) {
	text, d := documentedStatus(t)
	var again, table bytes.Buffer
	if err := writeDocument(&again, "json", d); err != nil {
		t.Fatal(err)
	}
	if again.String() != text {
		t.Errorf("the program writes\n%s\nand docs/operations.md shows\n%s", again.String(), text)
	}
	if err := writeStatusTable(&table, d); err != nil {
		t.Fatal(err)
	}
	if want := shownIn(t, sectionOf(t, "Status"), "hermes-reconcile status"); table.String() != want {
		t.Errorf("the table is\n%s\nand docs/operations.md shows\n%s", table.String(), want)
	}
}

// Every alarm of status is documented, and every metric is well formed.
func TestDocumentedAlarms(t *testing.T) {
	section := sectionOf(t, "Status")
	for _, code := range []string{codeNotUp, codeNotWanted, codeNobody, codeNotServed, codeOddSlot, codeStray, codeFacts, codeVolume, codeNoSvscan, codeScanDir} {
		if !strings.Contains(section, "`"+code+"`") {
			t.Errorf("docs/operations.md does not say what the alarm %s is", code)
		}
	}
	_, d := documentedStatus(t)
	var metrics bytes.Buffer
	writePrometheus(&metrics, d)
	sample := regexp.MustCompile(`^hermes_reconcile_[a-z_]+(\{([a-z_]+="([^"\\]|\\.)*",?)+\})? [0-9.e+]+$`)
	comment := regexp.MustCompile(`^# (HELP hermes_reconcile_[a-z_]+ .+|TYPE hermes_reconcile_[a-z_]+ gauge)$`)
	for _, one := range strings.Split(strings.TrimSuffix(metrics.String(), "\n"), "\n") {
		if !sample.MatchString(one) && !comment.MatchString(one) {
			t.Errorf("no line of the text format of Prometheus: %q", one)
		}
	}
	for _, name := range regexp.MustCompile(`hermes_reconcile_[a-z_]+`).FindAllString(section, -1) {
		if !strings.Contains(metrics.String(), "\n"+name+"{") && !strings.Contains(metrics.String(), "\n"+name+" ") {
			t.Errorf("docs/operations.md names the metric %s, which there is not", name)
		}
	}
}

// The table of the ledger in the document is what such a ledger makes.
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
	if err := writeLog(&table, newLogDocument(runs, 5)); err != nil {
		t.Fatal(err)
	}
	if want := shownIn(t, sectionOf(t, "The ledger as a table"), "hermes-reconcile log coder"); table.String() != want {
		t.Errorf("the table is\n%s\nand docs/operations.md shows\n%s", table.String(), want)
	}
}
