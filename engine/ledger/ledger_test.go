package ledger_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/volume"
)

// homeWithLogs opens a home with the given files in logs.
func homeWithLogs(t *testing.T, files map[string]string) *volume.Home {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "logs", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	home, err := volume.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { home.Close() })
	return home
}

// ofCoder asks for what an explanation of the profile coder needs.
var ofCoder = ledger.Query{Profiles: []string{"coder"}, Most: 100, Whole: true}

func line1(profile, action string, second int) string {
	return fmt.Sprintf(`{"time":"2026-11-22T06:00:%02dZ","phase":"boot","profile":%q,"action":%q,"code":"x","reason":"x","prior_exit":"clean"}`+"\n", second, profile, action)
}

func container(second int) string {
	return fmt.Sprintf(`{"time":"2026-11-22T06:00:%02dZ","phase":"boot","action":"reconciled","code":"reconciled","reason":"2 profiles"}`+"\n", second)
}

func TestReadLedger(t *testing.T) {
	long := strings.Repeat("x", ledger.MaxLine)
	tests := []struct {
		why   string
		files map[string]string
		want  string // second of each boot, with the profile's action
	}{
		{"none", nil, ""},
		{"the rotated one first", map[string]string{
			"container-boot.jsonl.1": container(1) + line1("coder", "started", 1),
			"container-boot.jsonl":   container(2) + line1("coder", "registered", 2),
		}, "01 started, 02 registered"},
		{"lines of others", map[string]string{
			"container-boot.jsonl": container(1) + line1("writer", "started", 1) + line1("coder-2", "started", 1) + line1("coder", "registered", 1),
		}, "01 registered"},
		{"a torn line, before and at the end", map[string]string{
			"container-boot.jsonl": `{"time":"2026-11-22T06:00:09Z","profile":"coder","act` + "\n" + container(1) + line1("coder", "started", 1) + `{"time":"2026`,
		}, "01 started"},
		{"files that are not a ledger", map[string]string{
			"container-boot.jsonl": "\n[]\n7\nnull\n\"coder\"\n{}\n\x00\xff\n" + container(1),
		}, "01 "},
		{"an overlong line whose end looks like a line", map[string]string{
			"container-boot.jsonl": long + line1("coder", "started", 9) + container(1) + line1("coder", "started", 1),
		}, "01 started"},
		{"a boot without the profile, and a line without its boot", map[string]string{
			"container-boot.jsonl": line1("coder", "started", 1) + container(2) + container(3) + line1("coder", "started", 3),
		}, "01 started, 02 , 03 started"},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			var got []string
			for _, b := range runsOf(t, ofCoder, test.files).Boots("coder") {
				text := ""
				if b.Container != nil {
					text = b.Container.Time[17:19] + " "
				}
				if b.Profile != nil {
					text = b.Profile.Time[17:19] + " " + b.Profile.Action
				}
				got = append(got, text)
			}
			if strings.Join(got, ", ") != test.want {
				t.Errorf("boots %q, want %q", strings.Join(got, ", "), test.want)
			}
		})
	}
}

// A ledger of any length is read in bounded memory. The newest boots win.
func TestReadLedgerKeepsTheNewest(t *testing.T) {
	var text strings.Builder
	for range 5000 {
		text.WriteString(line1("coder", "started", 1))
	}
	text.WriteString(line1("coder", "registered", 2))
	runs := runsOf(t, ofCoder, map[string]string{"container-boot.jsonl": text.String()})
	boots := runs.Boots("coder")
	if len(runs.Notes) > 0 || len(boots) != ofCoder.Most || boots[len(boots)-1].Profile.Action != "registered" {
		t.Errorf("%d boots, the last %+v, %v; want the newest %d", len(boots), boots[len(boots)-1:], runs.Notes, ofCoder.Most)
	}
}

// A ledger that is not a regular file is a note and does not block.
func TestReadLedgerOfAFIFO(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "logs", "container-boot.jsonl"), 0o644); err != nil {
		t.Fatal(err)
	}
	home, err := volume.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	runs := ledger.ReadRuns(home.Root(), ofCoder)
	if len(runs.Boots("coder")) > 0 || len(runs.Notes) != 1 || !strings.Contains(runs.Notes[0], "not a regular file") {
		t.Errorf("got %+v", runs)
	}
}
