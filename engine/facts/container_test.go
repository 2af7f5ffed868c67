package facts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/engine/hometest"
)

// checkFact compares some keys of a fact.
func checkFact(t *testing.T, fact map[string]any, want map[string]string) {
	t.Helper()
	for keys, text := range want {
		if got := get(fact, strings.Split(keys, "/")...); got != text {
			t.Errorf("%s is %s, want %s in %v", keys, got, text, fact)
		}
	}
}

func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"HERMES_HOME": "/from/directory\n", "PUID": "1000\n", "SLACK_BOT_TOKEN": secret + "\n", "PATH": "/bin\n",
		"API_SERVER_PORT": "-> /dev/zero", "HERMES_UID": "fifo", "HERMES_RECONCILE_NOTE": "two\nlines\n\n", "no name": "x",
	} {
		hometest.Put(t, dir, name, text)
	}
	c := Config{EnvDir: dir, Environ: []string{
		"HERMES_HOME=/from/process", "GATEWAY_MULTIPLEX_PROFILES= On ", "HERMES_GATEWAY_NO_SUPERVISE=on", "HERMES_DASHBOARD=perhaps", "API_SERVER_ENABLED=",
		"TELEGRAM_BOT_TOKEN=" + secret, "EMPTY_TOKEN=", "AWS_PROFILE=private", "HERMES_RECONCILE_PROFILES=", "HERMES_RECONCILE_PASSWORD=" + secret,
		"HERMES_RECONCILE_BUNDLE=https://user:" + secret + "@example.org/b",
	}}
	fact := collected(t, environment(c))
	checkFact(t, fact, map[string]string{
		"status": `"recorded"`, "source": `"process+directory"`,
		"vars/HERMES_HOME": `"/from/process"`, "vars/PUID": `"1000"`, "vars/PATH": "absent", "vars/AWS_PROFILE": "absent",
		"vars/HERMES_RECONCILE_PROFILES": `""`, "vars/HERMES_RECONCILE_PASSWORD": "absent", "vars/HERMES_RECONCILE_NOTE": `"two\nlines\n"`,
		"vars/API_SERVER_PORT": "absent", "vars/HERMES_UID": "absent",
		"flags": `{"GATEWAY_MULTIPLEX_PROFILES":true,"HERMES_GATEWAY_NO_SUPERVISE":false}`, "invalid_flags": `["HERMES_DASHBOARD"]`,
		"warnings": `["HERMES_DASHBOARD: want 1, true, yes, on or 0, false, no, off"]`,
		"secrets":  `[{"fingerprint":"` + fingerprint(secret) + `","name":"HERMES_RECONCILE_PASSWORD"},{"fingerprint":"` + fingerprint(secret) + `","name":"SLACK_BOT_TOKEN"},{"fingerprint":"` + fingerprint(secret) + `","name":"TELEGRAM_BOT_TOKEN"}]`,
	})
	withoutSecret(t, "environment", fact)
	fact = collected(t, environment(Config{EnvDir: "/nowhere", Environ: []string{`HERMES_GATEWAY_NO_SUPERVISE=" yes "`, "HERMES_DASHBOARD='off'"}}))
	checkFact(t, fact, map[string]string{"flags": `{"HERMES_DASHBOARD":false,"HERMES_GATEWAY_NO_SUPERVISE":true}`, "invalid_flags": "[]",
		"warnings": `["HERMES_GATEWAY_NO_SUPERVISE: the value has quotes in it","HERMES_DASHBOARD: the value has quotes in it"]`})
	if got := fingerprint("abc"); got != "ba7816bf8f01cfea" {
		t.Errorf(`fingerprint("abc") = %s`, got)
	}
	fact = collected(t, environment(Config{EnvDir: "/nowhere", Environ: []string{}}))
	checkFact(t, fact, map[string]string{"status": `"empty"`, "source": `"none"`})
}

// Without the variables of s6-overlay, a fact about the environment is not complete.
func TestEnvironmentThatCannotBeRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "no-directory")
	if err := os.Symlink("no-directory", file); err != nil { // an error for root, too
		t.Fatal(err)
	}
	fact := collected(t, environment(Config{EnvDir: file, Environ: []string{"HERMES_UID=7"}}))
	checkFact(t, fact, map[string]string{"status": `"unreadable"`, "vars/HERMES_UID": `"7"`, "source": `"process"`})
}

func TestMultiplex(t *testing.T) {
	for _, c := range []struct {
		name, env, config string
		want              map[string]string
	}{
		{"default", "", "", map[string]string{"status": `"recorded"`, "on": "false", "source": `"default"`, "config_status": `"missing"`}},
		{"environment wins", "off", "multiplex_profiles: true", map[string]string{"on": "false", "source": `"environment"`}},
		{"blank is unset", "  ", "gateway: {multiplex_profiles: true}", map[string]string{"on": "true", "source": `"config"`}},
		{"top level", "", "multiplex_profiles: Yes", map[string]string{"on": "true", "source": `"config"`}},
		{"nested before top", "", "multiplex_profiles: true\ngateway: {multiplex_profiles: false}", map[string]string{"on": "false", "source": `"config"`}},
		{"another word", "maybe", "multiplex_profiles: true", map[string]string{"on": "true", "source": `"config"`, "warnings": `["GATEWAY_MULTIPLEX_PROFILES: want 1, true, yes, on or 0, false, no, off"]`}},
		{"broken config", "", "a: [", map[string]string{"status": `"invalid"`, "on": "false", "config_status": `"invalid"`}},
		{"broken config, environment", "1", "a: [", map[string]string{"status": `"recorded"`, "on": "true", "config_status": `"invalid"`}},
		{"allow-list", "", "gateway: {multiplex_profile_allowlist: [a, b], profile_routes: {x: a}}", map[string]string{"allowlist": `["a","b"]`, "routes": "1"}},
		{"a FIFO", "", "fifo", map[string]string{"status": `"unreadable"`, "on": "false"}},
		{"a link", "", "-> elsewhere.yaml", map[string]string{"status": `"unreadable"`, "on": "false"}},
		{"quoted, as --env-file keeps it", `"true"`, "", map[string]string{"on": "true", "source": `"environment"`, "warnings": `["GATEWAY_MULTIPLEX_PROFILES: the value has quotes in it"]`}},
		{"merged by an anchor", "", "base: &b {multiplex_profiles: true}\ngateway: {<<: *b}", map[string]string{"on": "true"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{}
			if c.config != "" {
				files["config.yaml"] = c.config
			}
			config := configFor(t, newHome(t, files))
			config.Environ = []string{"GATEWAY_MULTIPLEX_PROFILES=" + c.env}
			checkFact(t, collected(t, multiplex(config.withDefaults())), c.want)
		})
	}
}

// The .env of the home wins over the environment, and what the administrator pins over both.
func TestMultiplexLayers(t *testing.T) {
	h := newHome(t, map[string]string{".env": "GATEWAY_MULTIPLEX_PROFILES=off\n", "config.yaml": "gateway: {multiplex_profiles: true}"})
	c := configFor(t, h)
	c.Environ = []string{"GATEWAY_MULTIPLEX_PROFILES=on"}
	checkFact(t, collected(t, multiplex(c.withDefaults())), map[string]string{"on": "false", "source": `".env"`})
	hometest.Put(t, c.ManagedDir, ".env", "GATEWAY_MULTIPLEX_PROFILES=1\n")
	checkFact(t, collected(t, multiplex(c.withDefaults())), map[string]string{"on": "true", "source": `"managed"`})

	h = newHome(t, map[string]string{"config.yaml": "gateway: {multiplex_profiles: true}"})
	c = configFor(t, h)
	hometest.Put(t, c.ManagedDir, "config.yaml", "gateway: {multiplex_profiles: false}")
	checkFact(t, collected(t, multiplex(c)), map[string]string{"on": "false", "source": `"managed"`})
}

func TestHomeFacts(t *testing.T) {
	h := newHome(t, map[string]string{
		"ESTOP": "  broken bot\x1b[0m \nsecond line", ".drain_request.json": "-> nowhere", "active_profile": "coder\n",
		"state/reconcile.owner.json": `{"host":"gateway-1","boot_id":"7f3a","seen_at":"2026-11-22T05:00:00Z"}`,
	})
	c := configFor(t, h)
	hometest.Put(t, c.Home, "gateway_migration.json", `{"version":1,"migrated_at":"2026-11-22T05:00:00+0000","flag_was":false,"default":{"profile":"default"},"secondaries":[{"profile":"coder","home":"/opt/data/profiles/coder","pid":41,"service":null}]}`)
	checkFact(t, collected(t, sentinels(c)), map[string]string{"migration": `{"profiles":["coder"],"since_unix":1795323600,"status":"recorded"}`, "estop/present": "true", "estop/reason": `"broken bot[0m"`, "drain_request": "true", "fleet_restart_pending": "false"})
	checkFact(t, collected(t, activeProfile(c)), map[string]string{"status": `"recorded"`, "name": `"coder"`})
	checkFact(t, collected(t, ownerLease(c)), map[string]string{"status": `"recorded"`, "host": `"gateway-1"`, "boot_id": `"7f3a"`, "seen_at": `"2026-11-22T05:00:00Z"`, "seen_at_unix": "1795323600"})
	fact := collected(t, disk(c))
	if get(fact, "home_total_bytes") == "0" || get(fact, "status") != `"recorded"` {
		t.Errorf("disk: %v", fact)
	}
	c.Home = "/nowhere"
	checkFact(t, collected(t, disk(c)), map[string]string{"status": `"unreadable"`, "error": `"no such file or directory"`})
}

func TestMountsIdentityAndResources(t *testing.T) {
	proc, cgroup := t.TempDir(), t.TempDir()
	hometest.Put(t, proc, "self/mountinfo", "21 1 0:20 / / ro,relatime - overlay overlay rw,lowerdir=/a\n22 21 0:21 / /opt/my\\040data rw shared:1 - ext4 /dev/vda rw\nbroken\n23 21 0:22 / /mnt rw - nfs4 srv:/x ro,vers=4\n")
	hometest.Put(t, proc, "self/status", "Name:\tx\nCapEff:\t00000000000000c0\n")
	hometest.Put(t, cgroup, "memory.max", "1073741824\n")
	hometest.Put(t, cgroup, "memory.events", "low 0\noom 3\noom_kill 2\n")
	hometest.Put(t, cgroup, "cpu.max", "150000 100000\n")
	c := Config{Proc: read.Proc(proc), Cgroup: cgroup, Tmp: t.TempDir()}
	checkFact(t, collected(t, mounts(c)), map[string]string{"mounts": `[{"fstype":"overlay","point":"/","read_only":true},{"fstype":"ext4","point":"/opt/my data","read_only":false},{"fstype":"nfs4","point":"/mnt","read_only":true}]`})
	checkFact(t, collected(t, identity(c)), map[string]string{"capabilities": `["CAP_SETGID","CAP_SETUID"]`, "root_read_only": "true"})
	checkFact(t, collected(t, resources(c)), map[string]string{"memory_limit_bytes": "1073741824", "memory_oom_kills": "2", "cpus": "1.5"})
	hometest.Put(t, cgroup, "memory.max", "max\n")
	hometest.Put(t, cgroup, "cpu.max", "max 100000\n")
	checkFact(t, collected(t, resources(c)), map[string]string{"memory_limit_bytes": "absent", "cpus": "absent"})
}

func TestImage(t *testing.T) {
	dir := t.TempDir()
	c := Config{CodeDir: dir, Provenance: filepath.Join(dir, "provenance")}
	checkFact(t, collected(t, image(c)), map[string]string{"status": `"missing"`})
	hometest.Put(t, dir, "provenance", `{"version":"2026.9.21","revision":"abc"}`)
	checkFact(t, collected(t, image(c)), map[string]string{"status": `"recorded"`, "version": `"2026.9.21"`, "sha": `"abc"`, "source": `"provenance"`})
	hometest.Put(t, dir, "install-stamp.json", `{"commit":"def","schemaVersion":1}`)
	checkFact(t, collected(t, image(c)), map[string]string{"version": `"2026.9.21"`, "sha": `"def"`, "source": `"install_stamp"`})
	if err := os.Remove(c.Provenance); err != nil {
		t.Fatal(err)
	}
	hometest.Put(t, dir, "install-stamp.json", "not json")
	checkFact(t, collected(t, image(c)), map[string]string{"status": `"invalid"`})
	if err := os.Remove(filepath.Join(dir, "install-stamp.json")); err != nil {
		t.Fatal(err)
	}
	hometest.Put(t, dir, ".hermes_build_sha", "0123456789abcdef\n")
	hometest.Put(t, dir, "pyproject.toml", "[project]\nname = \"hermes-agent\"\nversion = \"0.14.2\"\n[tool.x]\nversion = \"9\"\n")
	checkFact(t, collected(t, image(c)), map[string]string{"status": `"recorded"`, "version": `"0.14.2"`, "sha": `"0123456789abcdef"`, "source": `"build_sha"`})
}
