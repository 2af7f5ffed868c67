package publish

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	opa "github.com/open-policy-agent/opa/v1/bundle"
	"golang.org/x/sys/unix"
)

// private makes a private key for an algorithm.
func private(t *testing.T, algorithm string) (key crypto.Signer) {
	t.Helper()
	var err error
	switch algorithm {
	case "RS256":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		curve := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521(), "P-224": elliptic.P224()}[algorithm]
		key, err = ecdsa.GenerateKey(curve, rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func block(kind string, bytes []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
}

func pkcs8(key any) string {
	text, err := x509.MarshalPKCS8PrivateKey(key)
	return block("PRIVATE KEY", text, err)
}

func public(key crypto.Signer) string {
	text, err := x509.MarshalPKIXPublicKey(key.Public())
	return block("PUBLIC KEY", text, err)
}

func keyFile(t *testing.T, text string, mode os.FileMode) string {
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func mustKey(t *testing.T, key any) *Key {
	t.Helper()
	k, err := ReadKey(keyFile(t, pkcs8(key), 0o600), "fleet")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// OPA verifies what a key of each kind has signed, and refuses it with another key.
func TestSignatures(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"ES256", "ES384", "ES512", "RS256", "EdDSA"} {
		signer, other := private(t, algorithm), private(t, algorithm)
		key := mustKey(t, signer)
		if key.Algorithm != algorithm {
			t.Errorf("a key for %s signs with %s", algorithm, key.Algorithm)
		}
		text, err := Build(layer(), "1", nil, key)
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		verify := func(id, public string) error {
			keys := map[string]*opa.KeyConfig{id: {Key: public, Algorithm: algorithm}}
			_, err := opa.NewReader(bytes.NewReader(text)).WithBundleVerificationConfig(opa.NewVerificationConfig(keys, "", "", nil)).Read()
			return err
		}
		if err := verify("fleet", public(signer)); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		if verify("fleet", public(other)) == nil || verify("other", public(signer)) == nil {
			t.Errorf("%s: verified by another key, or by another id", algorithm)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	t.Parallel()
	curve := private(t, "ES256").(*ecdsa.PrivateKey)
	old, oldErr := x509.MarshalECPrivateKey(curve)
	rsaKey := private(t, "RS256").(*rsa.PrivateKey)
	for name, text := range map[string]string{
		"PKCS 8":                  pkcs8(curve),
		"SEC 1":                   block("EC PRIVATE KEY", old, oldErr),
		"PKCS 1":                  block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil),
		"parameters of the curve": block("EC PARAMETERS", []byte{6, 8}, nil) + block("EC PRIVATE KEY", old, oldErr),
		"text before it":          "Bag Attributes\n" + pkcs8(curve),
	} {
		key, err := ReadKey(keyFile(t, text, 0o400), "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if _, err := Build(layer(), "1", nil, key); err != nil {
			t.Errorf("%s: it does not sign: %v", name, err)
		}
	}
	for kind, text := range map[string]string{
		"no PEM":         "secret words",
		"a public key":   public(curve),
		"a passphrase":   block("ENCRYPTED PRIVATE KEY", []byte("secret words"), nil),
		"no key in PEM":  block("PRIVATE KEY", []byte("secret words"), nil),
		"another curve":  pkcs8(private(t, "P-224")),
		"too many bytes": strings.Repeat("secret words", 10000),
	} {
		_, err := ReadKey(keyFile(t, text, 0o600), "")
		if err == nil || !strings.Contains(err.Error(), "want ") || strings.Contains(err.Error(), "secret words") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestAKeyThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	text := pkcs8(private(t, "ES256"))
	for _, mode := range []os.FileMode{0o644, 0o640, 0o602} {
		file := keyFile(t, text, 0o600)
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		link := file + ".link"
		if err := os.Symlink(file, link); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{file, link} {
			if _, err := ReadKey(name, ""); err == nil || !strings.Contains(err.Error(), file+" can be read by others") {
				t.Errorf("mode %o: %v", mode, err)
			}
		}
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKey(pipe, ""); err == nil {
		t.Error("a FIFO is a key")
	}
}

// What is logged of a key by mistake does not have it.
func TestAKeyIsNotPrinted(t *testing.T) {
	t.Parallel()
	key := mustKey(t, private(t, "ES256"))
	if shown := fmt.Sprintf("%v %+v %#v", key, *key, *key); strings.Contains(shown, "PRIVATE") {
		t.Error("printed, a key shows the private key")
	}
}
