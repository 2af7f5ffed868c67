package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/engine/hometest"
)

// In a terminal of 80 cells, 60 profiles without a supervisor are one alarm, no line is longer
// than the terminal, and colours can be switched off.
func TestStatusInATerminal(t *testing.T) {
	ours, theirs := newTerminal(t, 24)
	if err := unix.IoctlSetWinsize(int(theirs.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	places := placeArgs(t)
	for i := range 60 {
		hometest.Put(t, places[1], fmt.Sprintf("profiles/customer-support-%02d/SOUL.md", i), "")
		hometest.Put(t, places[1], fmt.Sprintf("profiles/customer-support-%02d/gateway_state.json", i), `{"desired_state":"running"}`)
	}
	output(t, append([]string{"boot"}, places...)...)
	colour := regexp.MustCompile("\x1b\\[[0-9]+m")
	for _, test := range []struct {
		noColor, option string
		colours         bool
	}{{"", "auto", true}, {"1", "auto", false}, {"1", "always", true}, {"", "never", false}} {
		t.Setenv("NO_COLOR", test.noColor)
		code := make(chan int, 1)
		go func() {
			code <- run(t.Context(), append([]string{"status", "--color", test.option}, places...), theirs, theirs, &bytes.Buffer{})
		}()
		shown := readUntil(t, ours, "61 profiles: 60 wanted up, 0 up, 0 held\r\n", 1)
		if c := <-code; c != cli.ExitDone {
			t.Errorf("exit status %d", c)
		}
		if colour.MatchString(shown) != test.colours {
			t.Errorf("NO_COLOR=%q --color %s: colours %v:\n%q", test.noColor, test.option, !test.colours, shown)
		}
		plain := strings.ReplaceAll(colour.ReplaceAllString(shown, ""), "\r\n", "\n")
		for one := range strings.Lines(plain) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(one, "\n")); n > 80 {
				t.Errorf("a line has %d cells: %q", n, one)
			}
		}
		if n := strings.Count(plain, "ALARM   60 profiles (customer-support-00, "); n != 1 || strings.Count(plain, "\nALARM") > 2 || !strings.HasPrefix(plain, "ALARM ") {
			t.Errorf("%d alarms about the 60 profiles:\n%s", n, plain)
		}
		if want := "\ncustomer-support-59  up      not supervised"; !strings.Contains(plain, want) {
			t.Errorf("%q is missing:\n%s", want, plain)
		}
	}
	if names := string(output(t, append([]string{"status", "-o", "name"}, places...)...)); strings.Count(names, "\n") != 61 || !strings.HasPrefix(names, "customer-support-00\n") {
		t.Errorf("-o name prints %q", names)
	}
}
