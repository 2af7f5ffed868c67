package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/s6/s6test"
)

// events -f prints each event once, of ledgers that appear, grow and are rotated while it
// runs, and ends with a signal.
func TestEventsFollow(t *testing.T) {
	dir := bootHome(t)
	logs := filepath.Join(dir, "home/logs")
	out, errs := tempFile(t), tempFile(t)
	cmd := started(t, out, errs, "events", "-f", "-n", "2")
	hour := 0
	record := func(done string) {
		t.Helper()
		hour++
		line := fmt.Sprintf(`{"time":"2026-11-22T%02d:00:00Z","phase":"apply","command":"watch","cause":["volume"],"profile":"coder","action":"started","code":"x","reason":"why %d","operations":[{"op":%q,"done":true}]}`+"\n", hour, hour, done)
		file, err := os.OpenFile(filepath.Join(logs, ledger.WatchName), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = file.WriteString(line)
			file.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sees := func(word string) {
		t.Helper()
		want := fmt.Sprintf("2026-11-22T%02d:00:00Z  coder             %s: why %d (watch, volume)\n", hour, word, hour)
		s6test.Until(t, "events prints "+want, func() bool { return strings.HasSuffix(textOf(t, out), want) })
	}
	if err := os.MkdirAll(logs, 0o755); err != nil {
		t.Fatal(err)
	}
	record("publish")
	sees("slot made")
	record("bring-down")
	sees("stopped")
	name := filepath.Join(logs, ledger.WatchName)
	record("bring-up") // perhaps not seen before the rotation
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	record("remove")
	sees("slot removed")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := ended(t, cmd); code != cli.ExitDone {
		t.Errorf("exit status %d after a signal, want %d: %s", code, cli.ExitDone, textOf(t, errs))
	}
	for i := range hour {
		if n := strings.Count(textOf(t, out), fmt.Sprintf(": why %d (", i+1)); n != 1 {
			t.Errorf("event %d is printed %d times, want once:\n%s", i+1, n, textOf(t, out))
		}
	}
}
