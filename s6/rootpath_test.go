package s6

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
	"hermes-reconcile/s6/scripts"
)

// agentPath makes programs of the agent's, with the names of programs that root runs, and
// returns a PATH that begins with them, as upstream's image has it. Each of them works, and
// tells what it was called when root runs it; told returns these names.
func (w *world) agentPath() (path string, told func() string) {
	w.t.Helper()
	bin, proof := filepath.Join(w.home, ".local/bin"), filepath.Join(w.base, "proof")
	must(w.t, os.MkdirAll(bin, 0o755))
	for _, name := range []string{
		"id", "sh", "env", "sleep", "cat", "rm", "mkdir", "s6-log", "s6-setuidgid", "s6-envuidgid", "s6-applyuidgid", "s6-envdir",
		"execlineb", "with-contenv", "hermes-reconcile",
	} {
		real, err := exec.LookPath(name)
		if err != nil {
			real = "/bin/true"
		}
		script(w.t, filepath.Join(bin, name), "[ \"$(/usr/bin/id -u)\" != 0 ] || echo "+name+" >>"+proof+"\nexec "+real+" \"$@\"\n")
	}
	must(w.t, exec.Command("chown", "-R", strconv.Itoa(hermesID), w.home).Run())
	return bin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", func() string {
		text, _ := os.ReadFile(proof)
		return string(text)
	}
}

// hermesLives makes root's scripts run in every way that the agent can cause: a start, a
// restart, deaths that are counted, a pause, a new logger. The gateway keeps its PATH and
// the container's variable GIVEN in the home.
func (w *world) hermesLives() {
	w.t.Helper()
	w.withHelper()
	crash := filepath.Join(w.base, "crash")
	w.exec.Command = []string{w.script("living", "echo \"$PATH $GIVEN $HOME $PWD\" >env\n[ ! -e "+crash+" ] || exit 3\nexec sleep 10000\n")}
	w.options.Live = true
	w.apply(withRestart(decide("coder=start"), "coder", policy.Restart{
		Budget: &policy.Budget{Deaths: 50, WindowSeconds: 600}, ExitCodes: map[string]string{"3": "backoff"}, OnExhaustion: "hold",
	}))
	slot := w.slot("coder")
	again := func(how string) {
		w.t.Helper()
		before := w.untilUp("coder").PID
		if out, err := w.asHermes(how); err != nil {
			w.t.Fatalf("%s: %v: %s", how, err, out)
		}
		w.until(how+" starts it again", func() bool { now := w.facts().Slots["gateway-coder"]; return now.Up && now.PID != before })
	}
	again("s6-svc -r " + slot)
	again("s6-svc -k " + slot)
	must(w.t, os.WriteFile(crash, nil, 0o644))
	again("s6-svc -k " + slot)
	w.until("it pauses", func() bool { _, err := os.Stat(w.slot("coder", scripts.PauseName)); return err == nil })
	must(w.t, os.Remove(crash))
	w.until("the pause is over", func() bool {
		_, err := os.Stat(w.slot("coder", scripts.PauseName))
		return errors.Is(err, fs.ErrNotExist)
	})
	w.untilUp("coder")
	if out, err := w.asHermes("s6-svc -r " + slot + "/log"); err != nil {
		w.t.Fatalf("s6-svc -r log: %v: %s", err, out)
	}
	w.until("the logger logs", func() bool {
		_, err := os.Stat(filepath.Join(w.home, "logs/gateways/coder/current"))
		return err == nil
	})
}

// Upstream's image has a directory of the volume in PATH before those of the system, so
// s6-svscan has it, too.
func TestRootRunsNoProgramOfTheAgent(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	path, told := w.agentPath()
	s6test.StartCommand(t, w.base, w.scan, withEnv(exec.Command("s6-svscan", w.scan), "PATH="+path, "GIVEN=yes"))
	w.hermesLives()
	if got := told(); got != "" {
		t.Errorf("root ran programs of the agent: %s", strings.Join(strings.Fields(got), " "))
	}
	w.wantWritten(filepath.Join(w.home, "env"), path+" yes "+w.home+" "+w.home+"\n")
}

var (
	execveLine = regexp.MustCompile(`^(\d+) +execve\("([^"]+)"`)
	forkLine   = regexp.MustCompile(`^(\d+) +(?:(?:clone3?|v?fork)\(|<\.\.\. (?:clone3?|v?fork) resumed>).*= (\d+)$`)
	setuidLine = regexp.MustCompile(`^(\d+) +setuid\(` + strconv.Itoa(hermesID) + `\) += 0$`)
)

// rootsPrograms returns the paths that root tried to execute, from what strace -f wrote.
func rootsPrograms(trace string) []string {
	parent, dropped := map[string]string{}, map[string]int{}
	lines := strings.Split(trace, "\n")
	for i, line := range lines {
		if m := forkLine.FindStringSubmatch(line); m != nil {
			parent[m[2]] = m[1]
		} else if m := setuidLine.FindStringSubmatch(line); m != nil {
			dropped[m[1]] = i
		}
	}
	var paths []string
	for i, line := range lines {
		m := execveLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		root := true
		for pid := m[1]; pid != "" && root; pid = parent[pid] {
			at, did := dropped[pid]
			root = !did || at > i
		}
		if root {
			paths = append(paths, m[2])
		}
	}
	return paths
}

// Every path that root executes, or tries to, is one that only root can write.
func TestRootExecutesRootsPathsOnly(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	path, _ := w.agentPath()
	trace := filepath.Join(w.base, "trace")
	svscan := exec.Command(s6test.Installed(t, "strace"), "-D", "-f", "-qq", "-o", trace, "-e", "trace=execve,setuid,fork,vfork,clone,clone3", "s6-svscan", w.scan)
	s := s6test.StartCommand(t, w.base, w.scan, withEnv(svscan, "PATH="+path))
	w.hermesLives()
	s.Stop()
	text, err := os.ReadFile(trace)
	must(t, err)
	seen := map[string]bool{}
	for _, path := range rootsPrograms(string(text)) {
		seen[path] = true
	}
	for _, want := range []string{"./run", "./finish", "/usr/bin/id", "/usr/bin/sleep", "/usr/bin/s6-setuidgid", w.exec.Died[0]} {
		if !seen[want] {
			t.Errorf("strace saw no %s of root's", want)
		}
	}
	for path := range seen {
		// Slots and scan directory are root's. Debian's s6-svscan, unlike s6-overlay's, finds
		// s6-supervise by PATH.
		if path[0] == '.' || filepath.Base(path) == "s6-supervise" {
			continue
		}
		if err := scripts.CheckProgram(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("root executes %s: %v", path, err)
		}
	}
}

// The gateway is found by the container's PATH and has the container's variables, which
// only the user loads.
func TestGatewayHasTheContainersEnvironment(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	bin := filepath.Join(w.home, "bin")
	must(t, os.Mkdir(bin, 0o755))
	script(t, filepath.Join(bin, "agents-hermes"), "echo \"$GIVEN $HOME $HERMES_S6_SUPERVISED_CHILD $RULES $(id -u)\" >env\nexec sleep 10000\n")
	must(t, exec.Command("chown", "-R", strconv.Itoa(hermesID), w.home).Run())
	w.exec.Command = []string{"agents-hermes"}
	w.exec.Contenv = w.script("with-contenv", "exec env -i PATH="+bin+":/usr/bin:/bin GIVEN=\"yes $(id -u)\" HOME=/root RULES=no \"$@\"\n")
	w.startSvscan()
	d := decide("coder=start")
	one := d.Profiles["coder"]
	one.Env = map[string]string{"RULES": "win"}
	d.Profiles["coder"] = one
	w.apply(d)
	w.wantWritten(filepath.Join(w.home, "env"), "yes 10000 "+w.home+" 1 win 10000\n")
}

// The umask of s6-svscan does not make directories that nobody can use.
func TestScriptsHaveAUmaskOfTheirOwn(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	s6test.StartCommand(t, w.base, w.scan, exec.Command("/bin/sh", "-c", "umask 0777; exec s6-svscan "+w.scan))
	w.apply(decide("coder=start"))
	w.untilUp("coder")
	w.until("the logger logs", func() bool {
		_, err := os.Stat(filepath.Join(w.home, "logs/gateways/coder/current"))
		return err == nil
	})
	wantMode(t, filepath.Join(w.home, "logs"), 0o755, hermesID, hermesID)
}

// What root runs in any script is a word of the shell itself, or the path of a program
// that only root can write.
func TestScriptsNameRootsPathsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withHelper()
	w.exec.Watch = []string{w.exec.Died[0], "watch"}
	r, err := w.exec.withDefaults().newRenderer()
	must(t, err)
	files, err := r.Files("coder", map[string]string{"PATH": "/opt/data"}, &policy.Restart{Budget: &policy.Budget{Deaths: 1, WindowSeconds: 1}})
	must(t, err)
	service, err := r.WatchFiles()
	must(t, err)
	checked := 0
	for _, f := range append(files, service...) {
		interpreter, isScript := strings.CutPrefix(strings.SplitN(string(f.Content), "\n", 2)[0], "#!")
		if !isScript {
			continue
		}
		checked++
		for _, path := range append(rootsCommands(t, string(f.Content)), interpreter) {
			if err := scripts.CheckProgram(path); err != nil {
				t.Errorf("%s runs %s: %v", f.Name, path, err)
			}
		}
	}
	if checked != 6 {
		t.Errorf("%d scripts, want run, finish and log/run of a slot and of the service", checked)
	}
}

// No slot is made with a program that the agent could have written; the error names the
// directory at fault. A helper of that kind is an alarm, because gateways run without it.
func TestProgramsOfTheAgentAreRefused(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	theirs := filepath.Join(w.base, "theirs")
	must(t, os.MkdirAll(theirs+"/bin", 0o755))
	for _, name := range []string{"sh", "s6-log", "s6-setuidgid"} {
		script(t, theirs+"/bin/"+name, "")
	}
	must(t, os.Chown(theirs, hermesID, hermesID))
	good := *w.exec
	for want, dir := range map[string]string{
		theirs + " is not owned by root; want a program that only root can write": theirs + "/bin", `"bin/env" is not an absolute path`: "bin",
	} {
		w.exec.ProgramDirs = []string{dir}
		_, err := w.exec.Plan(t.Context(), decide("coder=start"), w.options)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", dir, err, want)
		}
	}
	*w.exec = good
	w.exec.Died = []string{theirs + "/bin/sh"}
	w.plan(decide("coder=start"))
	if got := w.alarmCodes(); got != "" {
		t.Errorf("nothing counts deaths: alarms %s", got)
	}
	w.apply(withRestart(decide("coder=start"), "coder", policy.Restart{ExitCodes: map[string]string{"3": "backoff"}}))
	if got := w.alarmCodes(); got != alarmNoHelper || !strings.Contains(w.last.Alarms[0].Reason, theirs+" is not owned by root") {
		t.Errorf("alarms: %v", w.last.Alarms)
	}
	if text, err := os.ReadFile(w.slot("coder", "finish")); err != nil || strings.Contains(string(text), theirs) {
		t.Errorf("finish: %s, %v", text, err)
	}
}

// A home that is a link of the agent's leads into no directory that only root can enter:
// root does not change to it before it drops its privileges.
func TestRootEntersNothingOnTheVolume(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	private := filepath.Join(w.base, "private")
	must(t, os.MkdirAll(private+"/inner", 0o755))
	must(t, os.WriteFile(private+"/inner/secret", []byte("secret"), 0o644))
	must(t, os.Chmod(private, 0o700))
	must(t, os.Symlink(private+"/inner", w.home+"/link"))
	w.exec.Home = w.home + "/link"
	w.exec.Command = []string{w.script("reading", "cat secret\n")}
	w.apply(decide("coder=down"))
	run := exec.CommandContext(t.Context(), w.slot("coder", "run"))
	run.Dir = w.slot("coder")
	if out, err := run.CombinedOutput(); err == nil || strings.Contains(string(out), "secret") {
		t.Errorf("run: %v: %s", err, out)
	}
}

// The helper of finish scripts gets nothing of the container's environment.
func TestHelperGetsNothingOfTheEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec.Died = []string{w.script("died", "env\n")}
	w.apply(withRestart(decide("coder=down"), "coder", policy.Restart{ExitCodes: map[string]string{"3": "backoff"}}))
	finish := withEnv(exec.CommandContext(t.Context(), w.slot("coder", "finish"), "3", "0", "gateway-coder"), "PATH="+w.home, "GIVEN=yes", "HOME="+w.home)
	out, err := finish.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PATH=/command:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n") || strings.Contains(string(out), "GIVEN") || strings.Contains(string(out), w.home) {
		t.Errorf("finish: %v: %s", err, out)
	}
}

// withEnv makes a command run with these variables only.
func withEnv(cmd *exec.Cmd, variables ...string) *exec.Cmd {
	cmd.Env = variables
	return cmd
}

// The hooks run as root with the container's PATH, which may begin with a directory of the
// volume. Everything in them is a path, and what with-contenv looks up is in root's PATH.
func TestHooksNameRootsPathsOnly(t *testing.T) {
	t.Parallel()
	hooks, err := filepath.Glob("../cmd/hermes-reconcile/hook/*")
	if err != nil || len(hooks) != 2 {
		t.Fatalf("hooks: %v, %v", hooks, err)
	}
	const rootPath = "/command:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, hook := range hooks {
		data, err := os.ReadFile(hook)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if !strings.HasPrefix(text, "#!/bin/sh\n") || !strings.Contains(text, "\nexport PATH="+rootPath+"\nexec /command/with-contenv /usr/local/bin/hermes-reconcile ") {
			t.Errorf("%s sets no PATH for root, or looks a program up: %s", hook, text)
		}
		for _, program := range rootsCommands(t, text) {
			if !slices.Contains(strings.Split(rootPath, ":"), filepath.Dir(program)) {
				t.Errorf("%s runs %s", hook, program)
			}
		}
	}
}

// shellBuiltins are the words of the scripts that a shell runs itself.
var shellBuiltins = map[string]bool{
	"[": true, ":": true, "exec": true, "exit": true, "export": true, "kill": true, "read": true, "set": true, "trap": true,
	"umask": true, "unset": true, "wait": true,
}

// rootsCommands returns the words of a script that name a program which the shell runs. It
// also looks at the program that "exec" and "set --" name, and into traps.
func rootsCommands(t testing.TB, script string) []string {
	t.Helper()
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(script), "")
	must(t, err)
	var found []string
	syntax.Walk(file, func(node syntax.Node) bool {
		call, ok := node.(*syntax.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		words := make([]string, len(call.Args))
		for i, word := range call.Args {
			words[i] = plain(word)
		}
		switch {
		case words[0] == "trap" && words[1] != "-":
			found = append(found, rootsCommands(t, words[1])...)
		case words[0] == "exec" && words[1] == "$@":
			found = append(found, words[2])
		case words[0] == "exec":
			found = append(found, words[1])
		case words[0] == "set" && len(words) > 2:
			found = append(found, words[2])
		case !shellBuiltins[words[0]]:
			found = append(found, words[0])
		}
		return true
	})
	return found
}

// plain is a word without its quotes. Expansions stay as they are written.
func plain(word *syntax.Word) string {
	var b strings.Builder
	printer := syntax.NewPrinter()
	var write func(parts []syntax.WordPart)
	write = func(parts []syntax.WordPart) {
		for _, part := range parts {
			switch p := part.(type) {
			case *syntax.SglQuoted:
				b.WriteString(p.Value)
			case *syntax.DblQuoted:
				write(p.Parts)
			default:
				_ = printer.Print(&b, part)
			}
		}
	}
	write(word.Parts)
	return b.String()
}
