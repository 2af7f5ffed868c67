package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
)

// newTerminal opens a terminal of the given height, and returns it with the end from which
// the test reads.
func newTerminal(t *testing.T, height uint16) (ours, theirs *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no terminal: %v", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: height, Col: 200}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that reads have deadlines
		t.Fatal(err)
	}
	ours = os.NewFile(uintptr(fd), "ours")
	theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminal: %v", err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

// readUntil reads the output of the terminal until it contains the text the given number of
// times.
func readUntil(t *testing.T, from *os.File, text string, times int) string {
	t.Helper()
	if err := from.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	part := make([]byte, 4096)
	for strings.Count(seen.String(), text) < times {
		n, err := from.Read(part)
		seen.Write(part[:n])
		if err != nil {
			t.Fatalf("%v; drawn so far: %q", err, seen.String())
		}
	}
	return seen.String()
}

func watchArgs(t *testing.T, profiles int) []string {
	t.Helper()
	base := t.TempDir()
	t.Setenv("HERMES_RECONCILE_USER", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()))
	t.Setenv("HERMES_RECONCILE_S6__OWNERSHIP", "upstream") // root as the user is an alarm else
	t.Setenv("HERMES_RECONCILE_STATE_DIR", base)
	for i := range profiles {
		if err := os.MkdirAll(filepath.Join(base, "home", "profiles", fmt.Sprintf("p%02d", i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"status", "--watch", "--home", base + "/home", "--scandir", base}
}

// watch redraws until q, then ends and restores the terminal.
func TestWatchEndsOnQ(t *testing.T) {
	ours, theirs := newTerminal(t, 12)
	args := watchArgs(t, 20)
	before, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	code := make(chan int, 1)
	var stderr bytes.Buffer
	go func() { code <- run(context.Background(), args, theirs, theirs, &stderr) }()
	drawn := readUntil(t, ours, "more lines", 2)
	if !strings.Contains(drawn, "\x1b[H\x1b[2J") || !strings.Contains(drawn, "p03") || strings.Contains(drawn, "p09") {
		t.Errorf("drawn on twelve lines: %q", drawn)
	}
	if _, err := ours.Write([]byte("q")); err != nil {
		t.Fatal(err)
	}
	select {
	case c := <-code:
		if c != cli.ExitDone {
			t.Errorf("exit status %d, %s", c, stderr.String())
		}
	case <-time.After(30 * time.Second):
		t.Fatal("q does not end it")
	}
	after, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
	if err != nil || after.Lflag != before.Lflag {
		t.Errorf("the terminal is left as %x (%v), was %x", after.Lflag, err, before.Lflag)
	}
}

// watch ends when the context of the program is cancelled, as by Ctrl-C.
func TestWatchEndsWithItsContext(t *testing.T) {
	ours, theirs := newTerminal(t, 0)
	args := watchArgs(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	code := make(chan int, 1)
	go func() { code <- run(ctx, args, theirs, theirs, &bytes.Buffer{}) }()
	readUntil(t, ours, "PROFILE", 1)
	cancel()
	select {
	case c := <-code:
		if c != cli.ExitDone {
			t.Errorf("exit status %d", c)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
}
