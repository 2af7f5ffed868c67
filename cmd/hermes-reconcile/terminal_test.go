package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// placeArgs are the places of a home without profiles that belongs to whoever runs the test.
func placeArgs(t *testing.T) []string {
	t.Helper()
	base := t.TempDir()
	t.Setenv("HERMES_RECONCILE_USER", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()))
	t.Setenv("HERMES_RECONCILE_S6__OWNERSHIP", "upstream") // root as the user is an alarm else
	t.Setenv("HERMES_RECONCILE_STATE_DIR", base)
	if err := os.MkdirAll(filepath.Join(base, "home", "profiles"), 0o755); err != nil {
		t.Fatal(err)
	}
	return []string{"--home", base + "/home", "--scandir", base}
}
