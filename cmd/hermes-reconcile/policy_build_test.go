package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
)

// heldRules writes a directory of rules whose one rule holds the profiles of a setting.
func heldRules(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "rules")
	for name, text := range map[string]string{
		"data/settings.yaml": "settings:\n  held_names: [coder]\n",
		"held.rego": `package reconcile.rules.held

hold contains {"profile": name, "code": "held", "reason": "a name of the setting"} if {
	some name, _ in input.profiles
	name in data.settings.held_names
}
`,
		"held_test.rego": "package reconcile.rules.held_test\n\ntest_nothing if true\n",
	} {
		writeText(t, filepath.Join(dir, name), text, 0o644)
	}
	return dir
}

func writeText(t *testing.T, file, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return file
}

// keyFiles writes a new pair of keys for an algorithm.
func keyFiles(t *testing.T, algorithm string) (private, public string) {
	t.Helper()
	var signer crypto.Signer
	var err error
	if algorithm == "RS256" {
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	open, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	private = writeText(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), 0o600)
	return private, writeText(t, filepath.Join(dir, "pub.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: open})), 0o644)
}

// mustRun runs a command that succeeds, and returns its output.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, code := runCommand(t, args...)
	if code != cli.ExitDone {
		t.Fatalf("%s: exit status %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// opaCommands runs OPA's own commands, if there are any.
func opaCommands(t *testing.T) func(args ...string) (string, error) {
	t.Helper()
	program := os.Getenv(opaProgram)
	if program == "" {
		t.Skip("the commands of opa: " + opaProgram + " does not name the program")
	}
	return func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
		return string(out), err
	}
}

// OPA's own commands read, verify and evaluate a bundle of policy build.
func TestOPAReadsOurBundles(t *testing.T) {
	opa := opaCommands(t)
	dir := heldRules(t)
	input := writeText(t, filepath.Join(t.TempDir(), "input.json"), `{"profiles": {"coder": {}, "writer": {}}}`, 0o644)
	for _, algorithm := range []string{"ES256", "RS256"} {
		private, public := keyFiles(t, algorithm)
		_, other := keyFiles(t, algorithm)
		bundle := filepath.Join(t.TempDir(), "bundle.tar.gz")
		mustRun(t, "policy", "build", dir, "-o", bundle, "--sign", private, "--key-id", "fleet", "--revision", "42", "--metadata", "team=sre")
		verify := func(key string) (string, error) {
			return opa("build", "--bundle", bundle, "--verification-key", key, "--signing-alg", algorithm, "-o", filepath.Join(t.TempDir(), "out.tar.gz"))
		}
		if out, err := verify(public); err != nil {
			t.Errorf("opa does not verify %s: %v\n%s", algorithm, err, out)
		}
		if out, err := verify(other); err == nil || !strings.Contains(out, "failed to verify JWT signature") {
			t.Errorf("opa verifies %s with another key: %v\n%s", algorithm, err, out)
		}
		out, err := opa("eval", "--bundle", bundle, "--input", input, "--format", "raw", "[x.profile | some x in data.reconcile.rules.held.hold]")
		if err != nil || strings.TrimSpace(out) != `["coder"]` {
			t.Errorf("opa holds %s (%v), want coder", out, err)
		}
		out, err = opa("inspect", "--format", "json", bundle)
		for _, want := range []string{`"revision": "42"`, `"rego_version": 1`, `"reconcile/rules/held"`, `"team": "sre"`} {
			if err != nil || !strings.Contains(out, want) {
				t.Errorf("opa inspect: %v, want %s in\n%s", err, want, out)
			}
		}
	}
}
