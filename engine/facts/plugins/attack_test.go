package plugins

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/policy/trust"
)

// The users of these tests: the agents', and that of the plug-ins.
const (
	agent   = 10000
	nobody  = 65534
	timeout = 2 * time.Second
)

// asRoot returns how root asks plug-ins. Their home is open to all.
func asRoot(t *testing.T, files map[string]string) Config {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	c := withPlugins(t, files)
	c.Timeout = timeout
	c.Users = &Users{Plugins: trust.User{UID: nobody, GID: nobody}, Agents: trust.User{UID: agent, GID: agent}}
	for dir, mode := range map[string]os.FileMode{c.Home: 0o777, filepath.Dir(c.Home): 0o755} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// asAgent runs a shell command as the agent.
func asAgent(t *testing.T, command string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", command)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: agent, Gid: agent}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// For root, a plug-in is nobody: without a group, a descriptor, a variable or a mode of root's.
func TestPluginsHaveNothingOfRoot(t *testing.T) {
	inherited, err := unix.FcntlInt(0, unix.F_DUPFD, 50) // not closed for children
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(inherited)
	t.Setenv("PATH", "/opt/data/.local/bin:"+os.Getenv("PATH"))
	c := asRoot(t, map[string]string{"who": `#!/bin/sh
cd /proc/$$/fd; set -- *; fds=$*; cd /
printf '{"container":{"who":"%s %s %s","umask":"%s","fds":"%s","path":"%s"}}' "$(id -u)" "$(id -g)" "$(id -G)" "$(umask)" "$fds" "$PATH"
`})
	fact, _ := ask(t, c)
	facttest.Want(t, fact, map[string]string{
		"values/who/who": `"65534 65534 65534"`, "values/who/umask": `"0022"`,
		"values/who/path": `"/command:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"`,
	})
	// 3 is the program itself; the shell has more, to read it and the directory.
	if fds := facttest.Get(fact, "values", "who", "fds"); strings.Contains(fds, "5") {
		t.Errorf("a plug-in has the descriptors %s", fds)
	}
}

// The agent can neither end a plug-in nor read or change its memory, so it forges no answer.
func TestTheAgentReachesNoPlugin(t *testing.T) {
	c := asRoot(t, map[string]string{"slow": "#!/bin/sh\necho $$ > \"$HERMES_HOME/pid.new\"\nmv \"$HERMES_HOME/pid.new\" \"$HERMES_HOME/pid\"\nsleep 1\necho '{\"container\":{\"x\":1}}'\n"})
	attacked := make(chan string, 1)
	go func() {
		out, _ := asAgent(t, fmt.Sprintf(`cd %s; while [ ! -e pid ]; do sleep 0.01; done; pid=$(cat pid); [ "$pid" -gt 1 ] || exit
kill -9 $pid && echo killed; kill -STOP $pid && echo stopped; : < /proc/$pid/mem && echo read; : > /proc/$pid/fd/1 && echo wrote; true`, c.Home))
		attacked <- out
	}()
	fact, _ := ask(t, c)
	facttest.Want(t, fact, map[string]string{"plugins/slow/status": `"recorded"`, "values/slow": `{"x":1}`})
	if out := <-attacked; strings.Contains(out, "killed") || strings.Contains(out, "stopped") || strings.Contains(out, "read\n") || strings.Contains(out, "wrote\n") || !strings.Contains(out, "ermi") {
		t.Errorf("the agent: %s", out)
	}
}

// Whatever plug-ins do, they take no more than their time, others answer, and nothing of them
// stays.
func TestPluginsCannotUseUpTheBoot(t *testing.T) {
	const leave = "echo $$ >> \"$HERMES_HOME/pids\"; "
	files := map[string]string{
		"murder": "#!/bin/sh\nkill -9 $PPID\nkill -STOP $PPID\necho '{\"container\":{\"x\":1}}'\n",
		"quick":  "#!/bin/sh\necho '{\"container\":{\"x\":1}}'\n",
		"deaf":   "#!/bin/sh\ntrap '' TERM INT HUP QUIT\nwhile :; do sleep 1000; done\n",
		"escape": "#!/bin/sh\nsetsid sh -c '" + leave + "sleep 1000' &\nsetsid setsid sh -c '" + leave + "setsid sleep 1001' <&- >&- 2>&- &\nsleep 0.3\necho '{\"container\":{\"x\":1}}'\n",
		"tree":   "#!/bin/sh\nn=${1:-0}\n" + leave + "[ $n -lt 6 ] || exec sleep 1002\nsetsid sh \"$0\" $((n+1)) <&- >&- 2>&- &\nsetsid sh \"$0\" $((n+1)) <&- >&- 2>&- &\nwait\n",
		"limit":  "#!/bin/sh\nsoft=$(grep processes /proc/self/limits | tr -s ' ' | cut -d' ' -f3)\nprintf '{\"container\":{\"processes\":%s}}' \"$soft\"\n",
		"comet":  "#!/bin/sh\nn=${1:-0}\n[ $n -lt 200 ] || exit\n" + leave + "setsid sh \"$0\" $((n+1)) &\n",
		"stderr": "#!/bin/sh\nexec cat /dev/zero >&2\n",
		"stdin":  "#!/bin/sh\nexec <&-\nsleep 1000\n",
		"broken": "#!/bin/sh\necho '{\"container\":'\n",
	}
	for i := range 20 {
		files[fmt.Sprintf("hang%d", i)] = "#!/bin/sh\nexec sleep 1000\n"
	}
	c := asRoot(t, files)
	before := time.Now()
	fact, profile := ask(t, c)
	if took := time.Since(before); took > timeout+2*time.Second {
		t.Errorf("it took %s, and the plug-ins have %s", took, timeout)
	}
	facttest.Want(t, fact, map[string]string{
		"status": `"recorded"`, "plugins/quick/status": `"recorded"`, "plugins/escape/status": `"recorded"`,
		"plugins/murder/status": `"recorded"`, "plugins/deaf/status": `"timed_out"`, "plugins/hang7/status": `"timed_out"`,
		"plugins/stderr/status": `"timed_out"`, "plugins/stdin/status": `"timed_out"`, "plugins/broken/status": `"invalid"`, "values/limit/processes": "4096",
	})
	facttest.Want(t, profile("coder"), map[string]string{"status": `"recorded"`})
	text, err := os.ReadFile(filepath.Join(c.Home, "pids"))
	if pids := strings.Fields(string(text)); err != nil || len(pids) < 20 {
		t.Fatalf("the plug-ins left %q, %v", text, err)
	}
	for _, pid := range strings.Fields(string(text)) {
		one := filepath.Join(t.TempDir(), "pid")
		if err := os.WriteFile(one, []byte(pid), 0o644); err != nil {
			t.Fatal(err)
		}
		isGone(t, one)
	}
}

// The agent writes or replaces a static plug-in, or what leads to it.
func TestStaticPluginsOfTheAgentAreNotBelieved(t *testing.T) {
	const answer = `{"container":{"x":1}}`
	for name, spoil := range map[string]func(dir string) error{
		"file":         func(dir string) error { return os.Chown(dir+"/p.json", agent, agent) },
		"file's group": func(dir string) error { return os.Chown(dir+"/p.json", 0, agent) },
		"folder":       func(dir string) error { return os.Chown(dir, agent, agent) },
		"above":        func(dir string) error { return os.Chown(filepath.Dir(dir), agent, agent) },
		"link": func(dir string) error {
			theirs := filepath.Join(filepath.Dir(dir), "theirs")
			hometest.Put(t, theirs, "p.json", answer)
			if err := os.Chown(theirs, agent, agent); err != nil {
				return err
			}
			return os.Symlink(theirs+"/p.json", dir+"/linked.json")
		},
		"fifo": func(dir string) error { return unix.Mkfifo(dir+"/linked.json", 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			c := asRoot(t, nil)
			c.Dir = filepath.Join(c.Dir, "facts.d")
			hometest.Put(t, c.Dir, "p.json", answer)
			if err := os.Chmod(c.Dir+"/p.json", 0o664); err != nil {
				t.Fatal(err)
			}
			fact, _ := ask(t, c)
			facttest.Want(t, fact, map[string]string{"plugins/p/status": `"recorded"`})
			if err := spoil(c.Dir); err != nil {
				t.Fatal(err)
			}
			fact, _ = ask(t, c)
			if name == "link" || name == "fifo" {
				facttest.Want(t, fact, map[string]string{"plugins/linked/status": `"unreadable"`, "plugins/p/status": `"recorded"`})
			} else {
				facttest.Want(t, fact, map[string]string{"plugins/p/status": `"unreadable"`, "values": "{}"})
			}
		})
	}
}
