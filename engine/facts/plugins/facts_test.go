package plugins

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/policy"
)

// factsDir creates a trusted directory of plug-ins: scripts have mode 0755.
func factsDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		hometest.Put(t, dir, name, text)
		if strings.HasPrefix(text, "#!") {
			if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	hometest.Put(t, dir, ".trusted", "")
	if _, out := read.Trusted(filepath.Join(dir, ".trusted"), os.Geteuid()); out.Status != "" {
		t.Skipf("%s cannot be trusted here, so no plug-in in it runs: %s", dir, out.Error)
	}
	return dir
}

// withPlugins returns how plug-ins are asked as the user of the test.
func withPlugins(t *testing.T, files map[string]string) Config {
	t.Helper()
	return Config{Dir: factsDir(t, files), Home: t.TempDir(), Timeout: 20 * time.Second, Now: time.Now}
}

// ask asks the plug-ins about three profiles. It checks all facts against their schemas and
// returns those about the container and about a profile.
func ask(t *testing.T, c Config) (container map[string]any, profile func(name string) map[string]any) {
	t.Helper()
	in := policy.Input{Phase: policy.PhaseBoot, Container: policy.Facts{}, Profiles: map[string]policy.Facts{"default": {}, "coder": {}, "writer": {}}}
	AddFacts(t.Context(), c, &in)
	container = facttest.Check(t, facttest.Container, "external", in.Container["external"])
	facttest.NoSecret(t, "external", container)
	return container, func(name string) map[string]any {
		return facttest.Check(t, facttest.Profile, "external", in.Profiles[name]["external"])
	}
}

func TestPlugins(t *testing.T) {
	t.Setenv("PATH", "/nowhere")
	c := withPlugins(t, map[string]string{
		"site.json":    `{"container":{"region":"eu"},"profiles":{"coder":{"owner":"anna"},"nobody":{"x":1}}}`,
		"plan.yaml":    "profiles:\n  coder: {tier: 2}\n",
		"echo":         "#!/bin/sh\nin=$(cat)\nprintf '{\"container\":{\"env\":\"%s\",\"asked\":%s}}' \"$(env | cut -d= -f1 | grep -vE '^(PWD|SHLVL|_|OLDPWD)$' | sort | tr '\\n' ' ')\" \"$in\"\n",
		"fails.sh":     "#!/bin/sh\necho " + facttest.Secret + " >&2\nexit 3\n",
		"array.sh":     "#!/bin/sh\necho '[]'\n",
		"silent.sh":    "#!/bin/sh\nexit 0\n",
		"extra.json":   `{"contaner":{}}`,
		"scalar.json":  `{"profiles":{"coder":7}}`,
		"README.md":    "no plug-in",
		"notes":        "not executable",
		"site.yml":     "container: {region: us}",
		".hidden.json": "{}",
		"old.json~":    "{}",
		"gone.sh":      "#!/no/such/interpreter\n",
		"linked.sh":    "-> fails.sh",
		"twice.json":   `{"container":{"a":1},"container":{"a":2}}`,
		"nokeys.yaml":  "",
		"loop.yaml":    "container: &a {x: *a}\n",
		"intkey.yaml":  "container: {1: x}\n",
	})
	fact, profile := ask(t, c)
	facttest.Want(t, fact, map[string]string{
		"status": `"recorded"`, "ignored": `["README.md","site.yml"]`,
		"values/site": `{"region":"eu"}`, "plugins/site/status": `"recorded"`, "plugins/site/kind": `"static"`, "plugins/site/unknown_profiles": "1",
		"values/echo/env": `"HERMES_HOME LANG PATH "`, "values/echo/asked/phase": `"boot"`,
		"plugins/fails/status": `"failed"`, "plugins/fails/error": `"it ended with exit status 3"`,
		"plugins/array/status": `"invalid"`, "plugins/silent/status": `"invalid"`, "plugins/extra/status": `"invalid"`, "plugins/scalar/status": `"invalid"`,
		"plugins/notes/status": `"unreadable"`, "plugins/gone/status": `"failed"`, "plugins/linked/status": `"unreadable"`,
		"values/twice": `{"a":2}`, "plugins/nokeys/status": `"empty"`, "plugins/loop/status": `"invalid"`, "plugins/intkey/status": `"invalid"`,
	})
	var asked []any
	if echo, ok := fact["values"].(map[string]any)["echo"].(map[string]any); ok {
		asked, _ = echo["asked"].(map[string]any)["profiles"].([]any)
	}
	if len(asked) != 3 {
		t.Errorf("the plug-in was asked about %v, want three profiles", asked)
	}
	facttest.Want(t, profile("coder"), map[string]string{"values": `{"plan":{"tier":2},"site":{"owner":"anna"}}`, "status": `"recorded"`})
	facttest.Want(t, profile("writer"), map[string]string{"values": `{}`})
}

// No name of a profile, which the agents' user can choose, leads a plug-in out of the home.
func TestPluginsAreAskedAboutPlainNamesOnly(t *testing.T) {
	c := withPlugins(t, map[string]string{"echo": "#!/bin/sh\nprintf '{\"container\":%s}' \"$(cat)\"\n"})
	in := policy.Input{Container: policy.Facts{}, Profiles: map[string]policy.Facts{}}
	for _, name := range []string{"default", "coder", "profiles/default", "..", ".", "", "../../etc", `"a\nb"`, "a\nb"} {
		in.Profiles[name] = policy.Facts{}
	}
	AddFacts(t.Context(), c, &in)
	var fact map[string]any
	if err := json.Unmarshal(in.Container["external"], &fact); err != nil {
		t.Fatal(err)
	}
	facttest.Want(t, fact, map[string]string{
		"values/echo/profiles": fmt.Sprintf(`[{"name":"coder","path":"%s/profiles/coder"},{"name":"default","path":"%s"}]`, c.Home, c.Home),
	})
}

func TestPluginThatDoesNotEndIsKilledWithWhatItStarted(t *testing.T) {
	c := withPlugins(t, map[string]string{
		"slow.sh":  "#!/bin/sh\nsleep 1000 &\necho $! > \"$HERMES_HOME/child\"\nwait\n",
		"quick.sh": "#!/bin/sh\necho '{\"container\":{\"x\":1}}'\n",
	})
	c.Timeout = 500 * time.Millisecond
	fact, _ := ask(t, c)
	facttest.Want(t, fact, map[string]string{"plugins/slow/status": `"timed_out"`, "values/quick": `{"x":1}`})
	isGone(t, filepath.Join(c.Home, "child"))
}

func TestWhatAPluginLeavesBehindIsKilled(t *testing.T) {
	c := withPlugins(t, map[string]string{"leave.sh": "#!/bin/sh\nsleep 1000 &\necho $! > \"$HERMES_HOME/child\"\necho '{\"container\":{\"x\":1}}'\n"})
	fact, _ := ask(t, c)
	facttest.Want(t, fact, map[string]string{"plugins/leave/status": `"recorded"`, "values/leave": `{"x":1}`})
	isGone(t, filepath.Join(c.Home, "child"))
}

// isGone waits until the process named in a pid file has ended.
func isGone(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		stat, readErr := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if syscall.Kill(pid, 0) != nil || readErr != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d still runs", pid)
		}
	}
}

func TestPluginThatPrintsTooMuch(t *testing.T) {
	fact, _ := ask(t, withPlugins(t, map[string]string{"flood.sh": "#!/bin/sh\nexec cat /dev/zero\n"}))
	facttest.Want(t, fact, map[string]string{"plugins/flood/status": `"invalid"`, "plugins/flood/error": `"it printed more than 1048576 bytes"`})
}

func TestOnlyTrustedPluginsRun(t *testing.T) {
	const script = "#!/bin/sh\necho '{\"container\":{}}'\n"
	for name, spoil := range map[string]func(dir string) error{
		"file open to all":     func(dir string) error { return os.Chmod(dir+"/p.sh", 0o757) },
		"file open to group":   func(dir string) error { return os.Chmod(dir+"/p.sh", 0o775) },
		"folder open to all":   func(dir string) error { return os.Chmod(dir, 0o777) },
		"folder sticky":        func(dir string) error { return os.Chmod(dir, 0o777|os.ModeSticky) },
		"file of another":      func(dir string) error { return os.Chown(dir+"/p.sh", 12345, 12345) },
		"folder of another":    func(dir string) error { return os.Chown(dir, 12345, 12345) },
		"above open to all":    func(dir string) error { return os.Chmod(filepath.Dir(dir), 0o777) },
		"above owned by other": func(dir string) error { return os.Chown(filepath.Dir(dir), 12345, 12345) },
	} {
		t.Run(name, func(t *testing.T) {
			c := withPlugins(t, nil)
			c.Dir = filepath.Join(c.Dir, "facts.d")
			hometest.Put(t, c.Dir, "p.sh", script)
			if err := os.Chmod(c.Dir+"/p.sh", 0o755); err != nil {
				t.Fatal(err)
			}
			fact, _ := ask(t, c)
			facttest.Want(t, fact, map[string]string{"plugins/p/status": `"recorded"`})
			if err := spoil(c.Dir); err != nil {
				t.Skipf("needs root: %v", err)
			}
			fact, _ = ask(t, c)
			facttest.Want(t, fact, map[string]string{"plugins/p/status": `"unreadable"`, "values": "{}"})
		})
	}
}

func TestWithoutPlugins(t *testing.T) {
	c := withPlugins(t, nil)
	for dir, want := range map[string]string{"": `"missing"`, "/nowhere": `"missing"`, t.TempDir(): `"empty"`} {
		c.Dir = dir
		fact, profile := ask(t, c)
		facttest.Want(t, fact, map[string]string{"status": want})
		facttest.Want(t, profile("coder"), map[string]string{"status": want, "values": "{}"})
	}
}

func TestPluginsEndWithTheirCaller(t *testing.T) {
	c := withPlugins(t, map[string]string{"slow.sh": "#!/bin/sh\nsleep 1000\n"})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r := c.ask(ctx, nil)
	if r.Plugins["slow"].Status != policy.StatusTimedOut {
		t.Errorf("the plug-in is %+v, want timed_out", r.Plugins["slow"])
	}
}

// An operator's plug-in may misbehave: it then loses its own answer and nothing else.
func TestPluginsThatMisbehave(t *testing.T) {
	t.Setenv("TELEGRAM_BOT_TOKEN", facttest.Secret)
	c := withPlugins(t, map[string]string{
		"deaf.sh":   "#!/bin/sh\ntrap '' TERM INT HUP\nwhile :; do sleep 1000; done\n",
		"shout.sh":  "#!/bin/sh\nhead -c 3000000 /dev/zero >&2\necho '" + facttest.Secret + "' >&2\necho '{\"container\":{\"x\":1}}'\n",
		"many.sh":   "#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8; do sleep 1000 & done\necho '{\"container\":{\"x\":1}}'\n",
		"deep.sh":   "#!/bin/sh\nhead -c 200000 /dev/zero | tr '\\0' '['\n",
		"long.sh":   "#!/bin/sh\nprintf '{\"container\":{\"n\":'\nhead -c 5000 /dev/zero | tr '\\0' 9\nprintf '}}'\n",
		"names.sh":  "#!/bin/sh\nprintf '{\"profiles\":{\"../../x\":{\"a\":1},\"coder\\\\u0000\":{\"a\":1},\"\":{\"a\":1},\"coder\":{\"a\":1}}}'\n",
		"dies.sh":   "#!/bin/sh\nkill -SEGV $$\n",
		"closed.sh": "#!/bin/sh\nexec <&- >&- 2>&-\nsleep 1000\n",
		"envs.sh":   "#!/bin/sh\nprintf '{\"container\":{\"n\":%s}}' \"$(ls /proc/self/fd | wc -l)\"\n",
	})
	c.Timeout = 2 * time.Second
	fact, profile := ask(t, c)
	facttest.Want(t, fact, map[string]string{
		"plugins/deaf/status": `"timed_out"`, "plugins/closed/status": `"timed_out"`, "plugins/shout/status": `"recorded"`,
		"plugins/many/status": `"recorded"`, "plugins/deep/status": `"invalid"`,
		"plugins/long/status": `"invalid"`, "plugins/dies/status": `"failed"`, "plugins/names/status": `"recorded"`, "plugins/names/unknown_profiles": "3",
	})
	facttest.Want(t, profile("coder"), map[string]string{"values": `{"names":{"a":1}}`})
	facttest.Want(t, profile("default"), map[string]string{"values": `{}`})
}
