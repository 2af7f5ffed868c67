package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A reader who follows docs/policy-guide.md and then docs/policy-deploy.md, from the
// first line to the last, sees what the pages show.
func TestPolicyGuide(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	follow(t, r, readDoc(t, "docs/policy-guide.md"))
	follow(t, r, readDoc(t, "docs/policy-deploy.md"))
}

// The traps of docs/rule-traps.md exist, and their fixes work. The home has a root
// profile that never ran.
func TestTraps(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	r.write(t, "home/SOUL.md", "")
	r.exports = append(r.exports, `export HERMES_HOME="$PWD/home" HERMES_RECONCILE_USER="$(id -u):$(id -g)"`+"\n")
	follow(t, r, readDoc(t, "docs/rule-traps.md"))
}

// A reader follows a page in an empty directory: it writes the files that the page
// shows, and runs the commands. Where the page says /etc/hermes-reconcile, the reader
// has a directory of its own.
type reader struct {
	dir, etc string
	exports  []string      // the export commands of the page
	patience time.Duration // for a command that does not print yet what the page shows; it runs again
}

func newReader(t *testing.T) *reader {
	t.Helper()
	top := t.TempDir()
	r := &reader{dir: filepath.Join(top, "work"), etc: filepath.Join(top, "etc")}
	r.exports = []string{"export HERMES_RECONCILE_S6__OWNERSHIP=upstream\n"} // root as the user is an alarm else
	for _, dir := range []string{r.dir, r.etc} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// blocks matches the fenced blocks of a page: the language, the name of the file, the
// text.
var blocks = regexp.MustCompile("(?sm)^```([a-z]+)(?: ([^\n]+))?\n(.*?)^```$")

// follow carries out a page. It writes a block with a file name to that file. A console
// block has commands after "$ ", continued after "> ", and their outputs. In an output …
// stands for any text of the line, and a line of it for any lines.
func follow(t *testing.T, r *reader, page string) {
	t.Helper()
	commands := 0
	for _, block := range blocks.FindAllStringSubmatchIndex(page, -1) {
		part := func(i int) string {
			if block[2*i] < 0 {
				return ""
			}
			return page[block[2*i]:block[2*i+1]]
		}
		row := strings.Count(page[:block[0]], "\n") + 2
		switch language, name, text := part(1), part(2), part(3); {
		case name != "":
			r.write(t, name, text)
		case language == "console":
			commands += r.console(t, row, text)
		default:
			t.Errorf("row %d: a %s block without a file name, so no test sees it", row, language)
		}
	}
	if commands == 0 {
		t.Error("the page has no command")
	}
}

func (r *reader) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(r.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// console runs the commands of a block and returns how many there are.
func (r *reader) console(t *testing.T, row int, text string) int {
	t.Helper()
	var commands, outputs []string
	var rows []int
	for i, line := range strings.SplitAfter(text, "\n") {
		command, isCommand := strings.CutPrefix(line, "$ ")
		more, isMore := strings.CutPrefix(line, "> ")
		last := len(commands) - 1
		switch {
		case isCommand:
			commands, outputs, rows = append(commands, command), append(outputs, ""), append(rows, row+i)
		case last < 0:
			t.Fatalf("row %d: a console block begins with %q, want a command after $", row, line)
		case isMore && outputs[last] == "":
			commands[last] += more
		default:
			outputs[last] += line
		}
	}
	for i, command := range commands {
		if strings.HasPrefix(command, "export ") {
			r.exports = append(r.exports, command)
		}
		got := r.run(t, rows[i], command)
		for begun := time.Now(); !asShown(got, outputs[i]) && time.Since(begun) < r.patience; {
			time.Sleep(100 * time.Millisecond)
			got = r.run(t, rows[i], command)
		}
		if !asShown(got, outputs[i]) {
			t.Fatalf("row %d: %sprints\n%s\nand the page shows\n%s", rows[i], command, got, outputs[i])
		}
	}
	return len(commands)
}

// run runs one command with the shell, and returns what it prints.
func (r *reader) run(t *testing.T, row int, command string) string {
	t.Helper()
	const etc = "/etc/hermes-reconcile"
	shell := exec.CommandContext(t.Context(), "sh", "-c",
		strings.Join(r.exports, "")+strings.ReplaceAll(command, etc, r.etc))
	shell.Dir = r.dir
	shell.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "PWD=" + r.dir, "LC_ALL=C"}
	if policy := filepath.Join(r.etc, "policy"); exists(policy) {
		shell.Env = append(shell.Env, "HERMES_RECONCILE_POLICY="+policy) // the default is /etc
	}
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("row %d: %s%v\n%s", row, command, err, out)
	}
	return strings.ReplaceAll(string(out), r.etc, etc)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// examples are the values that a page shows in place of values that differ between runs.
var examples = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(?m)^[0-9]{2}:[0-9]{2}:[0-9]{2} ERR`), "06:00:11 ERR"},
	{regexp.MustCompile(`copy of 2[0-9]{3}-[0-9-]+T[0-9:]+Z`), "copy of 2026-11-22T06:00:11Z"},
	{regexp.MustCompile(`[0-9]+\.[0-9]+ (ms|times)`), "1.00 $1"},
	{regexp.MustCompile(`\bpid [0-9]+`), "pid 41"},
	{regexp.MustCompile(`(?m)^2[0-9]{3}-[0-9-]+T[0-9:]+Z  `), "2026-11-22T22:00:00Z  "},
	// Changes that come together have one pass.
	{regexp.MustCompile(`\(watch, [a-z, ]*(operator|time)[a-z, ]*\)`), "(watch, $1)"},
	{regexp.MustCompile(`\(watch, slots, volume\)`), "(watch, volume)"},
}

var columns = regexp.MustCompile(` {2,}`)

// asShown reports whether an output matches what the page shows.
func asShown(got, shown string) bool {
	pattern := regexp.QuoteMeta(plain(shown))
	pattern = strings.ReplaceAll(pattern, "\n…\n", "\n(?s:.*)")
	pattern = strings.ReplaceAll(pattern, "…", ".*")
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString(plain(got))
}

// plain replaces what differs between two runs. Durations and pids also change the
// width of a table's columns.
func plain(text string) string {
	for _, n := range append(notTheSameTwice, examples...) {
		text = n.pattern.ReplaceAllString(text, n.instead)
	}
	if strings.Contains(text, "TENFOLD") || strings.Contains(text, "WANTED") || strings.Contains(text, "PRIOR EXIT") {
		text = columns.ReplaceAllString(text, "  ")
	}
	return text
}
