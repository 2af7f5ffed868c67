package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode"

	"hermes-reconcile/engine/ledger"
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
	f.Fuzz(func(t *testing.T, text []byte) {
		home := homeWithLogs(t, map[string]string{"container-boot.jsonl": string(text)}).Root()
		runs := ledger.ReadRuns(home, ledger.Query{Most: 3})
		if len(runs.Runs) > 3 {
			t.Errorf("%d runs, want at most 3", len(runs.Runs))
		}
		d := newLogDocument(runs, 3)
		var out bytes.Buffer
		if err := writeLog(&out, d); err != nil {
			t.Fatal(err)
		}
		for _, one := range strings.Split(out.String(), "\n") {
			if strings.ContainsFunc(one, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q prints %q", text, one)
			}
		}
		lines, err := ledger.Read(home, "coder")
		if err != nil || len(lines) > ledger.MaxLines {
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
