package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"hermes-reconcile/policy"
)

// FuzzLedger: whatever is in the ledger, reading it ends, and what comes of it can be
// printed on a line each.
func FuzzLedger(f *testing.F) {
	for _, text := range []string{
		"", "\n", container(1) + line1("coder", "started", 1), `{"time":"x","action":"y","profile":"coder","prior_exit":""}`, "[]\nnull\n{}\n", "{\"time\":\"\x1b\",\"action\":\"\xff\"}\n",
		`{"time":1}` + "\n" + `{"time":"2026-11-22T06:00:01Z","action":"started","profile":"coder","contributions":[{"set":"hold","until":"x"}],"facts":{"a":"b"},"alarms":[{}]}`,
	} {
		f.Add([]byte(text))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(dir, "ledger")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		r := &runsReader{query: runsQuery{Most: 3}, names: map[string]bool{}}
		notes := r.read(file)
		if len(r.runs) > 3 {
			t.Errorf("%d runs, want at most 3", len(r.runs))
		}
		d := newLogDocument(ledgerRuns{Runs: r.runs, Notes: notes}, 3)
		var out bytes.Buffer
		if err := writeLog(&out, d); err != nil {
			t.Fatal(err)
		}
		for _, one := range strings.Split(out.String(), "\n") {
			if strings.ContainsFunc(one, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q prints %q", text, one)
			}
		}
		lines, err := scanLedger(file, "coder", nil)
		if err != nil || len(lines) > ledgerLines {
			t.Errorf("%d lines, %v", len(lines), err)
		}
		bootsOf(lines)
	})
}

// FuzzBootLog: one record is one line, of as many words as it has keys, whatever the
// agent wrote.
func FuzzBootLog(f *testing.F) {
	for _, text := range []string{"running", "", evil, "a b", `a"b`, "a=b", "\\", "None", "é", "\xff"} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, state, name string) {
		d := policy.Decisions{Profiles: map[string]policy.Decision{
			name: {Action: policy.ActionStart, PriorState: state, PriorExit: state, Code: state},
		}}
		for _, skip := range []bool{false, true} {
			if skip {
				d.Skip = []policy.Contribution{{Code: state, Reason: name}}
			}
			text := string(bootLog(policy.Now{}, d))
			if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") || strings.ContainsFunc(strings.TrimSpace(text), func(r rune) bool { return r < 0x20 || r > 0x7e }) {
				t.Errorf("%q of %q is %q", state, name, text)
			}
			if !skip && state == "running" && strings.Count(text, " action=") != 1+strings.Count(word(name), " action=") {
				t.Errorf("%q of %q is %q", state, name, text)
			}
		}
	})
}

// FuzzVolumeRequests: the volume's side answers whatever it is asked, about its home
// alone, and does not break.
func FuzzVolumeRequests(f *testing.F) {
	for _, text := range []string{
		`{"Collect":true}`, `{"Execute":[{"op":"sweep","profile":"coder","file":"../x"},{"op":"seed","profile":"coder"},{"op":"seed","profile":"coder","seed":{}}]}`,
		`{"Log":{"Name":"../x","Text":"eA=="}}`, `{"Log":{"Name":"x.log"}}`, `{"Ledger":"coder"}`, `{"Runs":{"Most":-1}}`, `{"Runs":{"Most":1,"Profiles":["coder"]}}`, `{}`,
		`{"Change":{"Kind":"write-hold","Profile":"coder"}}`, `{"Change":{"Kind":"write-intent","Profile":"coder","Intent":"x"}}`, `{"Change":{"Kind":"read-intent","Profile":""}}`,
		`{"Change":{"Kind":"planned-stop","Profile":"default","PID":-1}}`, `{"Change":{"Kind":"remove-hold","Profile":"../coder"}}`, `{"Change":{}}`,
	} {
		f.Add([]byte(text))
	}
	base := f.TempDir()
	for _, dir := range []string{"home/profiles/coder", "home/logs"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var r volumeRequest
		if json.Unmarshal(text, &r) != nil {
			return
		}
		r.Settings = nil
		request, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		settings, err := json.Marshal(volumeRequest{Settings: &volumeSettings{Home: filepath.Join(base, "home"), Timeout: time.Minute, SourceTimeout: time.Minute}})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := serveVolume(t.Context(), bytes.NewReader(append(settings, request...)), &out); err != nil {
			t.Fatalf("%s: %v", request, err)
		}
		var last volumeAnswer
		for answers := json.NewDecoder(&out); answers.More(); {
			last = volumeAnswer{}
			if err := answers.Decode(&last); err != nil {
				t.Fatalf("%s: %v", request, err)
			}
		}
		if !last.Done {
			t.Errorf("%s has no last answer", request)
		}
		if entries, err := os.ReadDir(base); err != nil || len(entries) != 1 {
			t.Errorf("%s left %v, %v", request, entries, err)
		}
	})
}

// FuzzVolumeAnswers: whatever the child says, whoever asked gets a result for each
// operation or an error.
func FuzzVolumeAnswers(f *testing.F) {
	for _, text := range []string{
		`{"Done":true}`, `{"Profile":"a","Facts":{"x":null}}{"Container":{},"Done":true}`, `{"Results":[{"Index":-1},{"Index":99,"Done":true},{"Index":0,"Error":"x"}],"Done":true}`,
		`{"Error":""}`, `{"Error":"x"}`, "{", "null", "[]", `{"Changed":null,"Runs":null,"Ledger":[{}],"Done":true}`, `{"Runs":{"Runs":[{}]},"Done":true}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		side := func() *childVolume {
			return &childVolume{requests: json.NewEncoder(io.Discard), answers: json.NewDecoder(bytes.NewReader(text)), settings: volumeSettings{Timeout: time.Minute}}
		}
		operations := []policy.Operation{{Op: policy.OpSweep, Profile: "coder"}, {Op: policy.OpSeed, Profile: "coder"}, {Op: policy.OpPublish}}
		if results := side().Execute(context.Background(), operations); len(results) != 2 {
			t.Errorf("%q gives %d results, want 2", text, len(results))
		}
		_, _ = side().Collect(context.Background(), func(string, policy.Facts) {})
		_, _ = side().Ledger(context.Background(), "coder")
		_, _ = side().Runs(context.Background(), runsQuery{})
		_, _ = side().Change(context.Background(), volumeChange{})
	})
}
