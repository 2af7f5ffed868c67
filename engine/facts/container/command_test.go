package container

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/engine/hometest"
)

// TestMain can turn the test program into a process that waits for the end of its input and
// ignores its arguments.
func TestMain(m *testing.M) {
	if os.Getenv("FACTS_TEST_WAIT") != "" {
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	os.Exit(m.Run())
}

// fakeProcess is a process in a made-up process tree.
type fakeProcess struct {
	pid, parent, uid, started int
	comm                      string
	argv                      []string
}

func fakeProc(t *testing.T, processes ...fakeProcess) read.Proc {
	t.Helper()
	root := t.TempDir()
	for _, p := range processes {
		dir := strconv.Itoa(p.pid)
		hometest.Put(t, root, dir+"/comm", p.comm+"\n")
		hometest.Put(t, root, dir+"/cmdline", strings.Join(p.argv, "\x00")+"\x00")
		hometest.Put(t, root, dir+"/status", fmt.Sprintf("Name:\t%s\nUid:\t%[2]d\t%[2]d\t%[2]d\t%[2]d\n", p.comm, p.uid))
		// A name that contains a parenthesis and a fake parent.
		hometest.Put(t, root, dir+"/stat", fmt.Sprintf("%d (%s) S 1 (x) S %d 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n", p.pid, p.comm, p.parent, p.started))
	}
	hometest.Put(t, root, "stat", "cpu 1 2 3\nbtime 1795000000\n")
	hometest.Put(t, root, "sys/kernel/hostname", "gateway-1\n")
	hometest.Put(t, root, "sys/kernel/random/boot_id", "7f3a0000-0000-4000-8000-000000000000\n")
	return read.Proc(root)
}

var svscan = fakeProcess{pid: 1, comm: "s6-svscan", argv: []string{"s6-svscan", "-d4", "--", "/run/service"}}

func rcInit(argv ...string) []string {
	return append([]string{"/bin/sh", "-e", "/run/s6/basedir/scripts/rc.init", "top"}, argv...)
}

func TestCommand(t *testing.T) {
	main := func(argv ...string) []fakeProcess {
		return []fakeProcess{svscan, {pid: 17, parent: 1, comm: "rc.init", started: 50, argv: rcInit(argv...)}}
	}
	pid1 := func(argv ...string) []fakeProcess { return []fakeProcess{{pid: 1, comm: "sh", argv: argv}} }
	for _, c := range []struct {
		name      string
		processes []fakeProcess
		want      map[string]string
	}{
		{"gateway run", main("/opt/hermes/docker/main-wrapper.sh", "gateway", "run", "--no-supervise"),
			map[string]string{"role": `"gateway run"`, "argv": `["gateway","run","--no-supervise"]`, "no_supervise": "true", "source": `"s6"`, "status": `"recorded"`}},
		{"with a profile", main("/opt/hermes/docker/main-wrapper.sh", "/x/entrypoint-dispatch.sh", "hermes", "-p", "coder", "gateway", "run"),
			map[string]string{"role": `"gateway run"`, "profile": `"coder"`, "no_supervise": "false"}},
		{"-p with an equals sign", main("/opt/main-wrapper.sh", "-p=viewer", "gateway", "run"), map[string]string{"profile": `"viewer"`, "role": `"gateway run"`}},
		{"a profile called hermes", main("/opt/main-wrapper.sh", "gateway", "run", "--profile=hermes"), map[string]string{"profile": `"hermes"`, "role": `"gateway run"`}},
		{"dashboard", main("/opt/main-wrapper.sh", "dashboard"), map[string]string{"role": `"dashboard"`}},
		{"gateway alone", main("/opt/main-wrapper.sh", "gateway"), map[string]string{"role": `"other"`}},
		{"no arguments", main("/opt/main-wrapper.sh"), map[string]string{"role": `"chat"`}},
		{"sleep", main("/opt/main-wrapper.sh", "sleep", "infinity"), map[string]string{"role": `"sleep"`}},
		{"no command", []fakeProcess{svscan, {pid: 17, parent: 1, comm: "rc.init", argv: rcInit()}}, map[string]string{"role": `"none"`, "status": `"missing"`}},
		{"none running", []fakeProcess{svscan}, map[string]string{"role": `"none"`, "status": `"missing"`, "source": `"none"`}},
		{"PID 1 itself", pid1("/bin/bash", "/opt/hermes/docker/entrypoint.sh", "gateway", "run"), map[string]string{"role": `"gateway run"`, "source": `"pid1"`}},
		{"under tini", pid1("/usr/bin/tini", "-g", "--", "/usr/bin/python3.13", "/opt/hermes/.venv/bin/hermes", "serve"), map[string]string{"role": `"serve"`}},
		{"a shell", pid1("/bin/sh", "-c", "hermes gateway run"), map[string]string{"role": `"other"`}},
		{"secrets", main("/opt/main-wrapper.sh", "gateway", "run", "--token", facttest.Secret, "--api-key="+facttest.Secret, "BOT_TOKEN="+facttest.Secret, "--url", "http://u:"+facttest.Secret+"@h/"),
			map[string]string{"argv": `["gateway","run","--token","\u003credacted\u003e","--api-key=\u003credacted\u003e","BOT_TOKEN=\u003credacted\u003e","--url","http://\u003credacted\u003e@h/"]`}},
		{"user without root", []fakeProcess{{pid: 1, uid: 10000, comm: "s6-svscan"}, {pid: 9, parent: 1, uid: 10000, argv: rcInit("/w/main-wrapper.sh", "serve")}}, map[string]string{"role": `"serve"`}},
		{"no /proc", nil, map[string]string{"status": `"unreadable"`, "role": `"none"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fact := facttest.Collect(t, source(t, Config{Proc: fakeProc(t, c.processes...)}, "command"))
			for key, want := range c.want {
				if got := facttest.Get(fact, key); got != want {
					t.Errorf("%s is %s, want %s in %v", key, got, want, fact)
				}
			}
		})
	}
}

func TestCommandCannotBeSpoofed(t *testing.T) {
	real := fakeProcess{pid: 40, parent: 1, started: 100, comm: "rc.init", argv: rcInit("/opt/main-wrapper.sh", "gateway", "run")}
	spoofed := rcInit("/opt/main-wrapper.sh", "dashboard")
	for name, spoof := range map[string]fakeProcess{
		"another user":    {pid: 20, parent: 1, uid: 10000, started: 10, argv: spoofed},
		"another parent":  {pid: 20, parent: 7, started: 10, argv: spoofed},
		"no shell":        {pid: 20, parent: 1, started: 10, argv: append([]string{"/bin/cat"}, spoofed[1:]...)},
		"a shell's -c":    {pid: 20, parent: 1, started: 10, argv: append([]string{"/bin/sh", "-c"}, spoofed[2:]...)},
		"not the script":  {pid: 20, parent: 1, started: 10, argv: []string{"/bin/sh", "-e", "scripts/rc.init", "top", "dashboard"}},
		"only the word":   {pid: 20, parent: 1, started: 10, argv: []string{"sh", "-c", "main-wrapper.sh dashboard"}},
		"younger than it": {pid: 20, parent: 1, started: 200, argv: spoofed},
	} {
		t.Run(name, func(t *testing.T) {
			fact := facttest.Collect(t, source(t, Config{Proc: fakeProc(t, svscan, spoof, real)}, "command"))
			if facttest.Get(fact, "role") != `"gateway run"` {
				t.Errorf("the command is %v, want gateway run", fact)
			}
		})
	}
}

// A real process of another user has the arguments of rc.init, in a tree whose PID 1 is
// s6-svscan.
func TestCommandIsNotThatOfARealImpostor(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it starts a process of another user")
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("impostor-%d", os.Getpid()))
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
	cmd := exec.Command(path)
	cmd.Args = rcInit("/opt/main-wrapper.sh", "dashboard")
	cmd.Env = []string{"FACTS_TEST_WAIT=1"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Skipf("cannot start a process of another user here: %v", err)
	}
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	if _, err := io.ReadFull(stdout, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	proc := fakeProc(t, svscan)
	pid := strconv.Itoa(cmd.Process.Pid)
	if err := os.Symlink("/proc/"+pid, filepath.Join(string(proc), pid)); err != nil {
		t.Fatal(err)
	}
	argv, err := proc.Argv(cmd.Process.Pid)
	if err != nil || afterRcInit(argv) == nil {
		t.Fatalf("the impostor has the arguments %q, %v", argv, err)
	}
	if fact := facttest.Collect(t, source(t, Config{Proc: proc}, "command")); facttest.Get(fact, "role") != `"none"` {
		t.Errorf("the command is %v, want none", fact)
	}
}

func TestHost(t *testing.T) {
	fact := facttest.Collect(t, source(t, Config{Proc: fakeProc(t, fakeProcess{pid: 1, started: 1234, comm: "s6-svscan) S 9 ("})}, "host"))
	for key, want := range map[string]string{
		"hostname": `"gateway-1"`, "boot_id": `"7f3a0000-0000-4000-8000-000000000000"`, "started_at_unix": "1795000012", "started_at": `"2026-11-18T11:06:52Z"`,
	} {
		if got := facttest.Get(fact, key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	if fact := facttest.Collect(t, source(t, Config{Proc: "/proc"}, "host")); facttest.Get(fact, "status") != `"recorded"` || facttest.Get(fact, "started_at") == "absent" {
		t.Errorf("host of this machine: %v", fact)
	}
}
