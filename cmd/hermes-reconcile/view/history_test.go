package view

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/volume"
)

// ledgerOf opens a home with the given ledger.
func ledgerOf(t *testing.T, text string) *volume.Home {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "logs", ledger.Name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	home, err := volume.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { home.Close() })
	return home
}

const (
	containerLine = `{"time":"2026-11-22T06:00:01Z","phase":"boot","action":"reconciled","code":"reconciled","reason":"2 profiles"}` + "\n"
	coderLine     = `{"time":"2026-11-22T06:00:01Z","phase":"boot","profile":"coder","action":"started","code":"x","reason":"x","prior_exit":"clean"}` + "\n"
)

// FuzzLedger: reading any ledger ends, and each entry prints on one line.
func FuzzLedger(f *testing.F) {
	for _, text := range []string{
		"", "\n", containerLine + coderLine, `{"time":"x","action":"y","profile":"coder","prior_exit":""}`, "[]\nnull\n{}\n", "{\"time\":\"\x1b\",\"action\":\"\xff\"}\n",
		`{"time":"\u001b","action":"y","profile":"\n","command":"\r","cause":["\u202e"],"reason":"\n","operations":[{"op":"\n","error":"\u001b"},{"op":"sweep","file":"\n","done":true}]}`,
		`{"time":1}` + "\n" + `{"time":"2026-11-22T06:00:01Z","action":"started","profile":"coder","contributions":[{"set":"hold","until":"x"}],"facts":{"a":"b"},"alarms":[{}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		home := ledgerOf(t, string(text)).Root()
		runs := ledger.ReadRuns(home, ledger.Query{Most: 3})
		if len(runs.Runs) > 3 {
			t.Errorf("%d runs, want at most 3", len(runs.Runs))
		}
		d := ledger.NewHistory(runs, 3)
		var out bytes.Buffer
		History(&out, d)
		Events(&out, ledger.ReadRuns(home, ledger.Query{Events: true, Most: 3}).Events)
		for _, one := range strings.Split(out.String(), "\n") {
			if strings.ContainsFunc(one, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q prints %q", text, one)
			}
		}
		runs = ledger.ReadRuns(home, ledger.Query{Profiles: []string{"coder"}, Most: 3, Whole: true})
		if boots := runs.Boots("coder"); len(boots) > 3 {
			t.Errorf("%d boots, want at most 3", len(boots))
		}
	})
}

// For any text that an agent writes to the ledger, the log shows the text or reports that
// it does not. No line of the agent's text looks like a line of the program.
func FuzzLog(f *testing.F) {
	f.Add(containerLine + coderLine)
	f.Add(`{"time":"\u001b[2J\n","profile":"a\nNOTE    b","action":"x\ty","image":"\n","policy":{"revision":"\n"}}` + "\n")
	f.Add("{")
	f.Add("\x00\xff")
	f.Fuzz(func(t *testing.T, text string) {
		runs := ledger.ReadRuns(ledgerOf(t, text).Root(), ledger.Query{Most: 3})
		if len(runs.Runs) > 3 {
			t.Fatalf("%d runs", len(runs.Runs))
		}
		d := ledger.NewHistory(runs, 2)
		var table strings.Builder
		History(&table, d)
		want := 1 + len(d.Entries) + len(d.Notes) // lines
		for _, e := range d.Entries {
			want += len(e.Changed)
		}
		if len(d.Entries) == 0 {
			want++
		}
		if got := strings.Count(table.String(), "\n"); got != want || strings.ContainsRune(table.String(), '\x1b') {
			t.Errorf("%d lines, want %d:\n%q", got, want, table.String())
		}
	})
}
