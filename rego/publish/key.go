package publish

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"syscall"

	opa "github.com/open-policy-agent/opa/v1/bundle"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
)

// A Key signs bundles. Printed, it does not show the private key.
type Key struct {
	ID        string // for who verifies with several keys; may be empty
	Algorithm string // as JSON Web Signatures have it
	config    *opa.SigningConfig
}

// maxKey limits the file of a key, in bytes.
const maxKey = 64 << 10

// privateKey matches a private key as PEM has it, without what openssl writes before it.
var privateKey = policy.Pattern(`(?s)-----BEGIN (EC |RSA )?PRIVATE KEY-----.*`)

var curves = map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}

// ReadKey reads a private key from a PEM file that nobody but its owner can read.
func ReadKey(file, id string) (*Key, error) {
	text, err := trust.Read(file, ownersAlone, maxKey)
	if err != nil {
		return nil, err
	}
	config := opa.NewSigningConfig(privateKey().FindString(string(text)), "", "")
	private, _ := config.GetPrivateKey()
	switch key := private.(type) {
	case *rsa.PrivateKey:
		config.Algorithm = "RS256"
	case ed25519.PrivateKey:
		config.Algorithm = "EdDSA"
	case *ecdsa.PrivateKey:
		config.Algorithm = curves[key.Curve.Params().BitSize]
	default:
		config.Algorithm = ""
	}
	if config.Algorithm == "" {
		return nil, fmt.Errorf("%s has no private key that can sign, want one without a passphrase, such as `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` writes", file)
	}
	return &Key{id, config.Algorithm, config}, nil
}

func ownersAlone(st *syscall.Stat_t, above int) string {
	if above == 0 && st.Mode&0o077 != 0 {
		return "can be read by others than its owner, want a key for its owner alone: chmod 600"
	}
	return ""
}
