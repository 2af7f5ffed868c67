package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/rego/bundle"
)

// fleetConfig writes a configuration with a key of signatures, and more lines.
func fleetConfig(t *testing.T, algorithm, public string, lines ...string) string {
	t.Helper()
	text := fmt.Sprintf("policy_keys:\n  - {id: fleet, algorithm: %s, key: %s}\n%s\n", algorithm, public, strings.Join(lines, "\n"))
	return writeText(t, filepath.Join(t.TempDir(), "config.yaml"), text, 0o644)
}

func inspectJSON(t *testing.T, args ...string) (info bundle.Info, code int) {
	t.Helper()
	out, code := runCommand(t, append([]string{"policy", "inspect", "-o", "json"}, args...)...)
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&info); err != nil {
		t.Fatalf("policy inspect %v: %v\n%s", args, err, out)
	}
	return info, code
}

// Bundles of OPA's own commands are read, verified and evaluated as those of policy build.
func TestOPABundlesAreAsGood(t *testing.T) {
	opa := opaCommands(t)
	t.Setenv("HERMES_RECONCILE_USER", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())) // who can read the home
	mustOPA := func(args ...string) {
		t.Helper()
		if out, err := opa(args...); err != nil {
			t.Fatalf("opa %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	for _, algorithm := range []string{"ES256", "RS256"} {
		private, public := keyFiles(t, algorithm)
		_, other := keyFiles(t, algorithm)
		sign := []string{"--signing-key", private, "--signing-alg", algorithm}
		dir, work := heldRules(t), t.TempDir()
		unsigned, built, signed := filepath.Join(work, "unsigned.tar.gz"), filepath.Join(work, "built.tar.gz"), filepath.Join(work, "signed.tar.gz")

		// OPA reads settings in a bundle only from data.yaml.
		command(t, "cp", filepath.Join(dir, "data/settings.yaml"), filepath.Join(dir, "data.yaml"))
		build := []string{"build", "--bundle", dir, "--ignore", "*_test.rego", "--revision", "42", "-o"}
		mustOPA(append(build, unsigned)...)
		mustOPA(append(append(build, built), sign...)...)

		// opa sign signs the files of a directory by their names below the present one.
		files := filepath.Join(work, "files")
		if err := os.Mkdir(files, 0o755); err != nil {
			t.Fatal(err)
		}
		command(t, "tar", "-C", files, "-xzf", unsigned)
		t.Chdir(files)
		mustOPA(append([]string{"sign", "--bundle", "."}, sign...)...)
		command(t, "tar", "-czf", signed, ".")

		for _, file := range []string{built, signed} {
			info, code := inspectJSON(t, file, "--config", fleetConfig(t, algorithm, public))
			if code != cli.ExitDone || !info.Signed || info.Revision != "42" || len(info.Rules) != 1 || len(info.Settings) != 1 {
				t.Errorf("%s: exit status %d, %+v", file, code, info)
			}
			if info, code := inspectJSON(t, file, "--config", fleetConfig(t, algorithm, other)); code != cli.ExitPolicy || info.Signed || info.NotUsed == "" {
				t.Errorf("%s with another key: exit status %d, %+v", file, code, info)
			}
			home := t.TempDir()
			writeText(t, filepath.Join(home, "profiles/coder/SOUL.md"), "", 0o644)
			out := mustRun(t, "eval", "coder", "--home", home, "--config", fleetConfig(t, algorithm, public), "--policy", "file://"+file)
			if !strings.Contains(out, "a name of the setting") {
				t.Errorf("%s: coder is not held:\n%s", file, out)
			}
		}
	}
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// The password of the user fleet of the registry, and what the registry has of it.
const (
	registryPassword = "correct-horse"
	registryUsers    = "fleet:$2y$04$6gKV7iVRkrSIiNDUpeUiMegG7yZXTH/7MvGDmQJnRuk2MqTx9yipK\n"
)

// startRegistry starts Debian's registry, which asks for a password, and returns its address.
func startRegistry(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("a real registry: docker-registry is missing")
	}
	dir := t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	users := writeText(t, filepath.Join(dir, "users"), registryUsers, 0o600)
	config := writeText(t, filepath.Join(dir, "registry.yml"), fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %s}}
auth: {htpasswd: {realm: fleet, path: %s}}
http: {addr: %q}
`, filepath.Join(dir, "data"), users, address), 0o600)
	registry := exec.CommandContext(t.Context(), program, "serve", config)
	if err := registry.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = registry.Wait() }) // the context has ended it
	for {
		answer, err := http.Get("http://" + address + "/v2/")
		if err == nil {
			answer.Body.Close()
			return address
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("the registry does not answer: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// registryConfig is a configuration with the credentials for a registry.
func registryConfig(t *testing.T, address, password, algorithm, public string) string {
	t.Helper()
	file := writeText(t, filepath.Join(t.TempDir(), "password"), password+"\n", 0o600)
	return fleetConfig(t, algorithm, public,
		"bundles:", fmt.Sprintf("  services: [{url: 'http://%s/', username: fleet, password: %s}]", address, file))
}

func TestPushAndPull(t *testing.T) {
	address := startRegistry(t)
	private, public := keyFiles(t, "ES256")
	config := registryConfig(t, address, registryPassword, "ES256", public)
	dir, place := heldRules(t), "oci://"+address+"/team/policy:v1"
	work := t.TempDir()
	build := func(revision string) (file string) {
		file = filepath.Join(work, revision+".tar.gz")
		mustRun(t, "policy", "build", dir, "-o", file, "--sign", private, "--revision", revision)
		return file
	}
	push := func(file string) (p bundle.Info) {
		t.Helper()
		out := mustRun(t, "policy", "push", file, place, "--config", config, "-o", "json")
		if err := json.Unmarshal([]byte(out), &p); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return p
	}
	pull := func(place string) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "pulled.tar.gz")
		mustRun(t, "policy", "pull", place, "-o", file, "--config", config)
		return readText(t, file)
	}
	first := push(build("1"))
	if pull(place) != readText(t, filepath.Join(work, "1.tar.gz")) {
		t.Error("pulled, the bundle is another one")
	}
	second := push(build("2"))
	if info, code := inspectJSON(t, place, "--config", config); code != cli.ExitDone || info.Revision != "2" || !info.Signed {
		t.Errorf("the tag did not move: exit status %d, %+v", code, info)
	}
	if first.Image == second.Image || pull("oci://"+address+"/team/policy@"+first.Image) != readText(t, filepath.Join(work, "1.tar.gz")) {
		t.Errorf("the digest %s is not that of the first bundle", first.Image)
	}
	if again := push(filepath.Join(work, "2.tar.gz")); again.Image != second.Image {
		t.Errorf("pushed again, the digest is %s, was %s", again.Image, second.Image)
	}
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPushAndPullAreRefused(t *testing.T) {
	address := startRegistry(t)
	private, public := keyFiles(t, "ES256")
	_, other := keyFiles(t, "ES256")
	config := registryConfig(t, address, registryPassword, "ES256", public)
	bundle, pulled := filepath.Join(t.TempDir(), "bundle.tar.gz"), filepath.Join(t.TempDir(), "pulled.tar.gz")
	mustRun(t, "policy", "build", heldRules(t), "-o", bundle, "--sign", private)
	place := "oci://" + address + "/team/policy:v1"
	wrongPassword := registryConfig(t, address, "battery-staple", "ES256", public)
	otherKey := registryConfig(t, address, registryPassword, "ES256", other)
	unauthorized := "the server answers 401 Unauthorized; bundles.services has the credentials for a URL"
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"push", bundle, place, "--config", wrongPassword}, cli.ExitProfile, unauthorized},
		{[]string{"push", bundle, place, "--config", fleetConfig(t, "ES256", public)}, cli.ExitProfile, unauthorized},
		{[]string{"push", bundle, place, "--config", otherKey}, cli.ExitPolicy, "bundle.tar.gz would not be used: "},
		{[]string{"push", private, place, "--config", config}, cli.ExitPolicy, "key.pem: it cannot be unpacked"},
		{[]string{"push", bundle, "oci://" + address + "/team/policy@sha256:" + strings.Repeat("0", 64), "--config", config}, cli.ExitProfile, "a push makes the digest"},
		{[]string{"push", bundle, "https://" + address + "/b", "--config", config}, cli.ExitUsage, " is in no registry, want oci://"},
		{[]string{"pull", place, "-o", pulled, "--config", config}, cli.ExitProfile, "404"}, // nothing was pushed
		{[]string{"push", bundle, place, "--config", config}, cli.ExitDone, "image "},
		{[]string{"pull", place, "-o", pulled, "--config", wrongPassword}, cli.ExitProfile, unauthorized},
		{[]string{"pull", place, "-o", pulled, "--config", otherKey}, cli.ExitPolicy, place + " would not be used: "},
	} {
		out, code := runCommand(t, append([]string{"policy"}, test.args...)...)
		if code != test.code || !strings.Contains(out, test.want) {
			t.Errorf("policy %s: exit status %d, want %d and %q in\n%s", strings.Join(test.args, " "), code, test.code, test.want, out)
		}
		if strings.Contains(out, registryPassword) || strings.Contains(out, "battery-staple") || strings.Contains(out, "PRIVATE") {
			t.Errorf("policy %s shows a secret:\n%s", strings.Join(test.args, " "), out)
		}
	}
	if _, err := os.Stat(pulled); err == nil {
		t.Error("a bundle that is refused was written")
	}
}

// OPA fetches and verifies what policy push has put into a registry.
func TestOPAFetchesWhatIsPushed(t *testing.T) {
	opa := opaCommands(t)
	address := startRegistry(t)
	private, public := keyFiles(t, "ES256")
	config := registryConfig(t, address, registryPassword, "ES256", public)
	bundle := filepath.Join(t.TempDir(), "bundle.tar.gz")
	mustRun(t, "policy", "build", heldRules(t), "-o", bundle, "--sign", private, "--key-id", "fleet")
	mustRun(t, "policy", "push", bundle, "oci://"+address+"/team/policy:v1", "--config", config)
	text, err := json.Marshal(map[string]any{
		"services": map[string]any{"registry": map[string]any{"url": "http://" + address, "type": "oci",
			"credentials": map[string]any{"bearer": map[string]string{"scheme": "Basic", "token": "fleet:" + registryPassword}}}},
		"bundles":               map[string]any{"fleet": map[string]any{"service": "registry", "resource": address + "/team/policy:v1", "signing": map[string]string{"keyid": "fleet"}}},
		"keys":                  map[string]any{"fleet": map[string]string{"algorithm": "ES256", "key": readText(t, public)}},
		"persistence_directory": t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	settings := writeText(t, filepath.Join(t.TempDir(), "opa.json"), string(text), 0o600)
	input := writeText(t, filepath.Join(t.TempDir(), "input.json"), `{"profiles": {"coder": {}, "writer": {}}}`, 0o644)
	out, err := opa("exec", "--config-file", settings, "--decision", "reconcile/rules/held/hold", input)
	if err != nil || !strings.Contains(out, `"a name of the setting"`) {
		t.Errorf("opa exec: %v\n%s", err, out)
	}
}

// A reader who follows docs/bundles.md sees what the page shows.
func TestBundlesPage(t *testing.T) {
	t.Parallel()
	address := startRegistry(t)
	r := newReader(t)
	page := strings.NewReplacer("https://registry.example.com", "http://"+address, "registry.example.com", address, "/etc/hermes-reconcile", r.etc).Replace(readDoc(t, "docs/bundles.md"))
	r.exports = append(r.exports, `export HERMES_HOME="$PWD/home" HERMES_RECONCILE_USER="$(id -u):$(id -g)"`+"\n")
	follow(t, r, page)
}
