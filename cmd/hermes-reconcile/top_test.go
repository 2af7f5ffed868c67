package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/top"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine/explain"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
)

// A tmux is a terminal with a shell in it, in which the program and topExample can be called.
type tmux struct {
	t      *testing.T
	socket string
	pid    int // of the server
}

func newTmux(t *testing.T, base string) *tmux {
	t.Helper()
	s6test.Installed(t, "tmux")
	x := &tmux{t: t, socket: filepath.Join(base, "tmux")}
	self, err := os.Executable()
	s6test.Must(t, err)
	bin := filepath.Join(base, "bin")
	s6test.Must(t, os.Mkdir(bin, 0o755))
	for _, name := range []string{"hermes-reconcile", topExample} {
		s6test.Must(t, os.Symlink(self, filepath.Join(bin, name)))
	}
	x.call("new-session", "-d", "-x", "80", "-y", "24", "env", "PATH="+bin+":"+os.Getenv("PATH"), "ENV=", "PS1=shell> ", "sh")
	x.pid, err = strconv.Atoi(x.call("display", "-p", "#{pid}"))
	if err != nil || x.pid <= 1 {
		t.Fatalf("the server of tmux has the pid %d, %v", x.pid, err)
	}
	t.Cleanup(func() { _ = syscall.Kill(x.pid, syscall.SIGTERM) })
	x.until("shell>")
	return x
}

func (x *tmux) call(words ...string) string {
	x.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", x.socket, "-f", "/dev/null"}, words...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		x.t.Fatalf("tmux %q: %v\n%s", words, err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// keys types keys, as tmux names them.
func (x *tmux) keys(keys ...string) { x.call(append([]string{"send-keys"}, keys...)...) }

// line types a command to the shell.
func (x *tmux) line(command string) {
	x.call("send-keys", "-l", command)
	x.keys("Enter")
}

func (x *tmux) screen() string { return x.call("capture-pane", "-p") }

// until waits for a text on the screen, and returns the screen.
func (x *tmux) until(text string) (screen string) {
	x.t.Helper()
	return x.untilTrue(fmt.Sprintf("%q on the screen", text), func(screen string) bool { return strings.Contains(screen, text) })
}

func (x *tmux) untilTrue(what string, condition func(screen string) bool) (screen string) {
	x.t.Helper()
	if !s6test.Poll(func() bool { screen = x.screen(); return condition(screen) }) {
		x.t.Fatalf("still not: %s. The screen:\n%s", what, screen)
	}
	return screen
}

// top is the process of the program that the shell runs.
func (x *tmux) top() int {
	x.t.Helper()
	shell, err := strconv.Atoi(x.call("display", "-p", "#{pane_pid}"))
	s6test.Must(x.t, err)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", shell, shell))
	s6test.Must(x.t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		x.t.Fatalf("the shell has the children %q", text)
	}
	return pid
}

// A talking gateway counts the seconds, and tries to steer the terminal.
const talking = `#!/bin/sh
n=0
while :; do
	n=$((n + 1))
	printf 'said %d times \033[2J\033]0;owned\007\033[?1049l\n' $n
	sleep 0.2
done
`

// startTop runs the command on a container with coder up and writer down.
func startTop(t *testing.T) (*liveScan, *tmux) {
	l := startLive(t, "coder=running", "writer=stopped")
	l.write("gateway", talking, 0o755)
	l.want(cli.ExitDone, "", "restart coder")
	x := newTmux(t, l.base)
	x.line("echo stays on the screen; stty -a | cksum")
	x.untilTrue("a sum", func(screen string) bool { return sums.MatchString(screen) })
	x.line("hermes-reconcile top " + strings.Join(l.places, " ") + "; echo ended with $?")
	x.until("> coder")
	return l, x
}

// sums are what cksum prints.
var sums = regexp.MustCompile(`(?m)^\d+ \d+$`)

// restored checks that the shell has its screen and its terminal again, after an exit status that
// the expression allows.
func (x *tmux) restored(exitStatus string) {
	x.t.Helper()
	ended := regexp.MustCompile("(?m)^ended with (" + exitStatus + ")$")
	x.untilTrue("the end, with the exit status "+exitStatus, ended.MatchString)
	x.line("stty -a | cksum")
	screen := x.untilTrue("two sums of the modes of the terminal", func(screen string) bool { return len(sums.FindAllString(screen, -1)) == 2 })
	if found := sums.FindAllString(screen, -1); found[0] != found[1] || !strings.Contains("\n"+screen, "\nstays on the screen\n") {
		x.t.Errorf("the terminal is not as before:\n%s", screen)
	}
	if state := x.call("display", "-p", "alternate #{alternate_on} cursor #{cursor_flag} mouse #{mouse_any_flag} keypad #{keypad_flag} title #{pane_title}"); !strings.HasPrefix(state, "alternate 0 cursor 1 mouse 0 keypad 0") || strings.Contains(state, "owned") {
		x.t.Errorf("the terminal is left as %q", state)
	}
}

// In a terminal of 80 x 24, keys find a profile, show its log as it grows, and stop and start its
// gateway, but not without a yes. q leaves the terminal as it was.
func TestTopInATerminal(t *testing.T) {
	t.Parallel()
	l, x := startTop(t)
	first := x.until("because     reconcile.rules.prior_intent")
	for _, want := range []string{"3 profiles: 1 wanted up, 1 up, 0 held", "  PROFILE ", "  writer ", "coder: START (prior_intent)", "s start  x stop"} {
		if !strings.Contains(first, want) {
			t.Errorf("%q is missing:\n%s", want, first)
		}
	}

	x.keys("2")
	said := regexp.MustCompile(`said (\d+) times \\u001b\[2J\\u001b\]0;owned\\u0007`)
	seen := map[string]bool{}
	x.untilTrue("a log that grows", func(screen string) bool {
		for _, found := range said.FindAllStringSubmatch(screen, -1) {
			seen[found[1]] = true
		}
		return len(seen) > 20
	})
	x.keys("3")
	x.until("stopped, started: desired state was")

	x.keys("x")
	x.until("[y/N] Do the above, stop coder?")
	x.until("~ bring-down  coder")
	x.keys("n")
	x.until("stop coder: nothing is done")
	if now := l.status().Profiles["coder"].Now; now != policy.NowUp {
		t.Errorf("after n, coder is %s", now)
	}
	x.keys("x")
	x.until("[y/N] Do the above, stop coder?")
	x.keys("y")
	x.until("coder: stopped")
	x.until("stop coder: done, exit status 0")
	x.until("3 profiles: 0 wanted up, 0 up, 0 held")
	l.untilNow("coder", policy.NowDown)
	if events := l.want(cli.ExitDone, "", "events coder -n 1"); !strings.Contains(events, "(stop)") {
		t.Errorf("the ledger does not have the stop: %s", events)
	}

	x.keys("j", "j", "s")
	x.until("[y/N] Do the above, start writer?")
	x.keys("y")
	x.until("start writer: done, exit status 0")
	l.untilNow("writer", policy.NowUp)

	x.keys("/", "w", "r", "i", "Enter")
	x.untilTrue("a list without coder", func(screen string) bool {
		return strings.Contains(screen, "> writer") && !strings.Contains(screen, "  coder ")
	})
	x.keys("q")
	x.restored("0")
}

// The screen follows the size of the terminal, and every signal that ends the program leaves the
// terminal as it was. So does the end of the terminal.
func TestTopSizesAndSignals(t *testing.T) {
	t.Parallel()
	l, x := startTop(t)
	for _, size := range [][2]int{{60, 15}, {200, 50}} {
		x.call("resize-window", "-x", fmt.Sprint(size[0]), "-y", fmt.Sprint(size[1]))
		x.untilTrue(fmt.Sprintf("%d x %d", size[0], size[1]), func(screen string) bool {
			rows := strings.Split(screen, "\n")
			title := strings.Index(screen, "──[1 explain]")
			return len(rows) == size[1] && strings.HasPrefix(rows[size[1]-1], "s start") && title > 0 && strings.Contains(screen[title:], "coder: START")
		})
	}
	x.call("resize-window", "-x", "30", "-y", "8")
	x.until("top needs 40 x 10.")
	x.call("resize-window", "-x", "80", "-y", "24")
	x.until("> coder")
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT} {
		s6test.Must(t, syscall.Kill(x.top(), signal))
		x.restored("0|1") // 1 when its children take long to end
		x.line(`printf '\033[2J\033[H'; echo stays on the screen; stty -a | cksum; hermes-reconcile top ` + strings.Join(l.places, " ") + "; echo ended with $?")
		x.until("> coder")
	}
	pid := x.top()
	x.call("kill-session")
	s6test.Until(t, "the program ends with its terminal", func() bool { return syscall.Kill(pid, 0) != nil })
}

// Without a terminal that can be drawn on, the error names status.
func TestTopNeedsATerminal(t *testing.T) {
	_, theirs := newTerminal(t, 24)
	for _, test := range []struct {
		kind string
		out  io.Writer
		more string
	}{{"xterm", &bytes.Buffer{}, ""}, {"dumb", theirs, ""}, {"", theirs, ""}, {"xterm", theirs, "--output=json"}} {
		t.Setenv("TERM", test.kind)
		var stderr bytes.Buffer
		args := append([]string{"top"}, placeArgs(t)...)
		if test.more != "" {
			args = append(args, test.more)
		}
		if code := run(t.Context(), args, theirs, test.out, &stderr); code != cli.ExitUsage || !strings.Contains(stderr.String(), "`hermes-reconcile status`") {
			t.Errorf("TERM=%s %s: exit status %d, %s", test.kind, test.more, code, stderr.String())
		}
	}
}

// A panic leaves the terminal as it was, and is an error.
func TestTopAfterAPanic(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	text, _ := documentedStatus(t)
	s6test.Must(t, os.WriteFile(filepath.Join(base, "status.json"), []byte(text), 0o644))
	x := newTmux(t, base)
	x.line("echo stays on the screen; stty -a | cksum; " + topExample + " " + base + "/status.json panics 2>/dev/null; echo ended with $?")
	x.restored("1|66") // 66 is a race in bubbletea: it does not wait for its reader then
}

// topExample is a command that draws a status document with top.
const topExample = "top-example"

var exampleExplanation = explain.Explanation{
	Profile: "coder", Sentence: "coder: START (prior_intent): desired state was running; but it ended 7 times in the last ten minutes",
	Verdict: explain.Verdict{Rule: "reconcile.rules.prior_intent", Location: "prior_intent.rego:10"},
	Now: explain.Now{
		Slot:  "down, and starts with its supervisor",
		Ended: "7 times since its supervisor started, 7 in the last ten minutes; last with exit code 1; down since 2026-11-22T08:10:10Z",
		Said:  []string{"startup_failed: telegram: no proxy (gateway_state.json)"},
	},
	Do: []string{"mend what ends it: hermes-reconcile logs coder"},
}

func drawTopExample() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	d, err := parseStatus(string(text))
	if err == nil {
		err = top.Run(context.Background(), top.Program{
			Look: func(context.Context) (*status.Document, error) { return d, nil },
			Now:  func() time.Time { return d.At },
			Run: func(_ context.Context, out io.Writer, _ ...string) int {
				if len(os.Args) > 2 {
					panic(os.Args[2])
				}
				view.Screen{}.Explanation(out, &exampleExplanation)
				return cli.ExitDone
			},
		}, d, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(cli.ExitProfile)
	}
	os.Exit(cli.ExitDone)
}

// docs/top.md shows the screen of 80 x 24 with the status of docs/status.md, and every key.
func TestTopPage(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	text, _ := documentedStatus(t)
	s6test.Must(t, os.WriteFile(filepath.Join(base, "status.json"), []byte(text), 0o644))
	page := readDoc(t, "docs/top.md")
	for _, key := range top.Keys {
		if row := fmt.Sprintf("| `%s` | %s |", strings.ReplaceAll(key[0], ", ", "`, `"), key[1]); !strings.Contains(page, row) {
			t.Errorf("docs/top.md does not have the row\n%s", row)
		}
	}
	x := newTmux(t, base)
	x.line(topExample + " " + base + "/status.json")
	screen := x.until("more        hermes-reconcile explain coder")
	x.keys("q")
	x.until("shell>")
	if want := shownIn(t, "docs/top.md", "hermes-reconcile top"); screen+"\n" != want {
		t.Errorf("the screen is\n%s\nand docs/top.md shows\n%s", screen, want)
	}
}
