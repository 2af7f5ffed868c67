package facts

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/engine/hometest"
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

func withPlugins(t *testing.T, files map[string]string) (Config, *external, func(profile string) map[string]any) {
	t.Helper()
	h := newHome(t, map[string]string{"profiles/coder/": "", "profiles/writer/": ""})
	c := configFor(t, h)
	c.FactsDir = factsDir(t, files)
	c.ExternalTimeout = 20 * time.Second
	e := newExternal(c)
	return c, e, func(profile string) map[string]any { return collectedFor(t, e.profile(), h, profile) }
}

func TestPlugins(t *testing.T) {
	_, e, profile := withPlugins(t, map[string]string{
		"site.json":    `{"container":{"region":"eu"},"profiles":{"coder":{"owner":"anna"},"nobody":{"x":1}}}`,
		"plan.yaml":    "profiles:\n  coder: {tier: 2}\n",
		"echo":         "#!/bin/sh\nin=$(cat)\nprintf '{\"container\":{\"env\":\"%s\",\"asked\":%s}}' \"$(env | cut -d= -f1 | grep -vE '^(PWD|SHLVL|_|OLDPWD)$' | sort | tr '\\n' ' ')\" \"$in\"\n",
		"fails.sh":     "#!/bin/sh\necho " + secret + " >&2\nexit 3\n",
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
	fact := collected(t, e.container())
	withoutSecret(t, "external", fact)
	checkFact(t, fact, map[string]string{
		"status": `"recorded"`, "ignored": `["README.md","site.yml"]`,
		"values/site": `{"region":"eu"}`, "plugins/site/status": `"recorded"`, "plugins/site/kind": `"static"`, "plugins/site/unknown_profiles": "1",
		"values/echo/env": `"HERMES_HOME LANG PATH "`, "values/echo/asked/phase": `"boot"`,
		"plugins/fails/status": `"failed"`, "plugins/fails/error": `"it ended with exit status 3"`, "plugins/fails/stderr_bytes": strconv.Itoa(len(secret) + 1),
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
	checkFact(t, profile("coder"), map[string]string{"values": `{"plan":{"tier":2},"site":{"owner":"anna"}}`, "status": `"recorded"`})
	checkFact(t, profile("writer"), map[string]string{"values": `{}`})
}

func TestPluginsRunOnce(t *testing.T) {
	c, e, profile := withPlugins(t, map[string]string{"count.sh": "#!/bin/sh\necho run >> \"$HERMES_HOME/runs\"\necho '{\"container\":{}}'\n"})
	collected(t, e.container())
	profile("coder")
	profile("writer")
	if got, _ := os.ReadFile(filepath.Join(c.Home, "runs")); string(got) != "run\n" {
		t.Errorf("the plug-in ran %q, want once", got)
	}
}

func TestPluginThatDoesNotEndIsKilledWithWhatItStarted(t *testing.T) {
	c, _, _ := withPlugins(t, map[string]string{
		"slow.sh":  "#!/bin/sh\nsleep 1000 &\necho $! > \"$HERMES_HOME/child\"\nwait\n",
		"quick.sh": "#!/bin/sh\necho '{\"container\":{\"x\":1}}'\n",
	})
	c.ExternalTimeout = 500 * time.Millisecond
	fact := collected(t, newExternal(c).container())
	checkFact(t, fact, map[string]string{"plugins/slow/status": `"timed_out"`, "values/quick": `{"x":1}`})
	isGone(t, filepath.Join(c.Home, "child"))
}

func TestWhatAPluginLeavesBehindIsKilled(t *testing.T) {
	c, e, _ := withPlugins(t, map[string]string{"leave.sh": "#!/bin/sh\nsleep 1000 &\necho $! > \"$HERMES_HOME/child\"\necho '{\"container\":{\"x\":1}}'\n"})
	checkFact(t, collected(t, e.container()), map[string]string{"plugins/leave/status": `"recorded"`, "values/leave": `{"x":1}`})
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
	_, e, _ := withPlugins(t, map[string]string{"flood.sh": "#!/bin/sh\nexec cat /dev/zero\n"})
	checkFact(t, collected(t, e.container()), map[string]string{"plugins/flood/status": `"invalid"`, "plugins/flood/error": `"it printed more than 1048576 bytes"`})
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
			c, _, _ := withPlugins(t, nil)
			c.FactsDir = filepath.Join(factsDir(t, nil), "facts.d")
			hometest.Put(t, c.FactsDir, "p.sh", script)
			if err := os.Chmod(c.FactsDir+"/p.sh", 0o755); err != nil {
				t.Fatal(err)
			}
			checkFact(t, collected(t, newExternal(c).container()), map[string]string{"plugins/p/status": `"recorded"`})
			if err := spoil(c.FactsDir); err != nil {
				t.Skipf("needs root: %v", err)
			}
			checkFact(t, collected(t, newExternal(c).container()), map[string]string{"plugins/p/status": `"unreadable"`, "values": "{}"})
		})
	}
}

func TestWithoutPlugins(t *testing.T) {
	c := configFor(t, newHome(t, nil))
	checkFact(t, collected(t, newExternal(c).container()), map[string]string{"status": `"missing"`})
	c.FactsDir = "/nowhere"
	checkFact(t, collected(t, newExternal(c).container()), map[string]string{"status": `"missing"`})
	c.FactsDir = t.TempDir()
	checkFact(t, collected(t, newExternal(c).container()), map[string]string{"status": `"empty"`})
}

func TestPluginsEndWithTheirCaller(t *testing.T) {
	_, e, _ := withPlugins(t, map[string]string{"slow.sh": "#!/bin/sh\nsleep 1000\n"})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	value, err := e.container().Collect(ctx)
	fact := checked(t, "external", e.container().Schema(), value, err)
	if s := get(fact, "status"); s != `"timed_out"` && get(fact, "plugins", "slow", "status") != `"timed_out"` {
		t.Errorf("external is %v, want timed_out", fact)
	}
	<-e.done
}
