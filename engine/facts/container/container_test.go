package container

import (
	"os"
	"path/filepath"
	"testing"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/engine/hometest"
)

// source returns a source by name.
func source(t testing.TB, c Config, name string) fact.Source {
	t.Helper()
	for _, s := range Sources(c) {
		if s.Name() == name {
			return s
		}
	}
	t.Fatalf("there is no source %q", name)
	return fact.Source{}
}

func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"HERMES_HOME": "/from/directory\n", "PUID": "1000\n", "SLACK_BOT_TOKEN": facttest.Secret + "\n", "PATH": "/bin\n",
		"API_SERVER_PORT": "-> /dev/zero", "HERMES_UID": "fifo", "HERMES_RECONCILE_NOTE": "two\nlines\n\n", "no name": "x",
	} {
		hometest.Put(t, dir, name, text)
	}
	c := Config{EnvDir: dir, Environ: []string{
		"HERMES_HOME=/from/process", "GATEWAY_MULTIPLEX_PROFILES= On ", "HERMES_GATEWAY_NO_SUPERVISE=on", "HERMES_DASHBOARD=perhaps", "API_SERVER_ENABLED=",
		"TELEGRAM_BOT_TOKEN=" + facttest.Secret, "EMPTY_TOKEN=", "AWS_PROFILE=private", "HERMES_RECONCILE_PROFILES=", "HERMES_RECONCILE_PASSWORD=" + facttest.Secret,
		"HERMES_RECONCILE_BUNDLE=https://user:" + facttest.Secret + "@example.org/b",
	}}
	print := fact.Fingerprint(facttest.Secret)
	fact := facttest.Collect(t, source(t, c, "environment"))
	facttest.Want(t, fact, map[string]string{
		"status": `"recorded"`, "source": `"process+directory"`,
		"vars/HERMES_HOME": `"/from/process"`, "vars/PUID": `"1000"`, "vars/PATH": "absent", "vars/AWS_PROFILE": "absent",
		"vars/HERMES_RECONCILE_PROFILES": `""`, "vars/HERMES_RECONCILE_PASSWORD": "absent", "vars/HERMES_RECONCILE_NOTE": `"two\nlines\n"`,
		"vars/API_SERVER_PORT": "absent", "vars/HERMES_UID": "absent",
		"flags":    `{"GATEWAY_MULTIPLEX_PROFILES":true,"HERMES_GATEWAY_NO_SUPERVISE":false}`,
		"warnings": `["HERMES_DASHBOARD: want 1, true, yes, on or 0, false, no, off"]`,
		"secrets":  `[{"fingerprint":"` + print + `","name":"HERMES_RECONCILE_PASSWORD"},{"fingerprint":"` + print + `","name":"SLACK_BOT_TOKEN"},{"fingerprint":"` + print + `","name":"TELEGRAM_BOT_TOKEN"}]`,
	})
	facttest.NoSecret(t, "environment", fact)
	fact = facttest.Collect(t, source(t, Config{EnvDir: "/nowhere", Environ: []string{`HERMES_GATEWAY_NO_SUPERVISE=" yes "`, "HERMES_DASHBOARD='off'"}}, "environment"))
	facttest.Want(t, fact, map[string]string{"flags": `{"HERMES_DASHBOARD":false,"HERMES_GATEWAY_NO_SUPERVISE":true}`,
		"warnings": `["HERMES_GATEWAY_NO_SUPERVISE: the value has quotes in it","HERMES_DASHBOARD: the value has quotes in it"]`})
	fact = facttest.Collect(t, source(t, Config{EnvDir: "/nowhere", Environ: []string{}}, "environment"))
	facttest.Want(t, fact, map[string]string{"status": `"empty"`, "source": `"none"`})
}

// Every fact of this machine fits its schema, and holds no secret of the environment.
func TestEveryFactKeepsItsPromise(t *testing.T) {
	for _, s := range Sources(Config{EnvDir: t.TempDir(), Environ: []string{"SLACK_BOT_TOKEN=" + facttest.Secret, "HERMES_RECONCILE_URL=http://u:" + facttest.Secret + "@host/", "GATEWAY_MULTIPLEX_PROFILES=maybe"}}) {
		facttest.NoSecret(t, s.Name(), facttest.Collect(t, s))
	}
}

// Without the variables of s6-overlay, a fact about the environment is not complete.
func TestEnvironmentThatCannotBeRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "no-directory")
	if err := os.Symlink("no-directory", file); err != nil { // an error for root, too
		t.Fatal(err)
	}
	fact := facttest.Collect(t, source(t, Config{EnvDir: file, Environ: []string{"HERMES_UID=7"}}, "environment"))
	facttest.Want(t, fact, map[string]string{"status": `"unreadable"`, "vars/HERMES_UID": `"7"`, "source": `"process"`})
}

func TestMountsIdentityAndResources(t *testing.T) {
	proc, cgroup := t.TempDir(), t.TempDir()
	hometest.Put(t, proc, "self/mountinfo", "21 1 0:20 / / ro,relatime - overlay overlay rw,lowerdir=/a\n22 21 0:21 / /opt/my\\040data rw shared:1 - ext4 /dev/vda rw\nbroken\n23 21 0:22 / /mnt rw - nfs4 srv:/x ro,vers=4\n")
	hometest.Put(t, proc, "self/status", "Name:\tx\nCapEff:\t00000000000000c0\n")
	hometest.Put(t, cgroup, "memory.max", "1073741824\n")
	hometest.Put(t, cgroup, "memory.events", "low 0\noom 3\noom_kill 2\n")
	hometest.Put(t, cgroup, "cpu.max", "150000 100000\n")
	c := Config{Proc: read.Proc(proc), Cgroup: cgroup, Tmp: t.TempDir()}
	facttest.Want(t, facttest.Collect(t, source(t, c, "mounts")), map[string]string{"mounts": `[{"fstype":"overlay","point":"/","read_only":true},{"fstype":"ext4","point":"/opt/my data","read_only":false},{"fstype":"nfs4","point":"/mnt","read_only":true}]`})
	facttest.Want(t, facttest.Collect(t, source(t, c, "identity")), map[string]string{"capabilities": `["CAP_SETGID","CAP_SETUID"]`, "root_read_only": "true"})
	facttest.Want(t, facttest.Collect(t, source(t, c, "resources")), map[string]string{"memory_limit_bytes": "1073741824", "memory_oom_kills": "2", "cpus": "1.5"})
	hometest.Put(t, cgroup, "memory.max", "max\n")
	hometest.Put(t, cgroup, "cpu.max", "max 100000\n")
	facttest.Want(t, facttest.Collect(t, source(t, c, "resources")), map[string]string{"memory_limit_bytes": "absent", "cpus": "absent"})
}

func TestImage(t *testing.T) {
	dir := t.TempDir()
	c := Config{CodeDir: dir, Provenance: filepath.Join(dir, "provenance")}
	facttest.Want(t, facttest.Collect(t, source(t, c, "image")), map[string]string{"status": `"missing"`})
	hometest.Put(t, dir, "provenance", `{"version":"2026.9.21","revision":"abc"}`)
	facttest.Want(t, facttest.Collect(t, source(t, c, "image")), map[string]string{"status": `"recorded"`, "version": `"2026.9.21"`, "sha": `"abc"`})
	hometest.Put(t, dir, "install-stamp.json", `{"commit":"def","schemaVersion":1}`)
	facttest.Want(t, facttest.Collect(t, source(t, c, "image")), map[string]string{"version": `"2026.9.21"`, "sha": `"def"`})
	if err := os.Remove(c.Provenance); err != nil {
		t.Fatal(err)
	}
	hometest.Put(t, dir, "install-stamp.json", "not json")
	facttest.Want(t, facttest.Collect(t, source(t, c, "image")), map[string]string{"status": `"invalid"`})
	if err := os.Remove(filepath.Join(dir, "install-stamp.json")); err != nil {
		t.Fatal(err)
	}
	hometest.Put(t, dir, ".hermes_build_sha", "0123456789abcdef\n")
	hometest.Put(t, dir, "pyproject.toml", "[project]\nname = \"hermes-agent\"\nversion = \"0.14.2\"\n[tool.x]\nversion = \"9\"\n")
	facttest.Want(t, facttest.Collect(t, source(t, c, "image")), map[string]string{"status": `"recorded"`, "version": `"0.14.2"`, "sha": `"0123456789abcdef"`})
}
