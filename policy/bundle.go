package policy

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Bundle is a layer of rules that is one file, as OPA makes it.
type Bundle struct {
	Source   string `json:"source"` // without the parts of a URL that may be secret
	Revision string `json:"revision"`
	Sequence string `json:"sequence,omitempty"` // of the manifest's metadata, see GoesBack
	Digest   string `json:"digest"`             // of the file
	Signed   bool   `json:"signed"`             // and the signature is right
	// Rollout is that of the manifest's metadata.
	Rollout *Rollout `json:"rollout,omitempty"`

	// What follows is about a bundle that is fetched.
	Activated time.Time `json:"activated,omitzero"`
	Checked   time.Time `json:"checked,omitzero"` // when its source was asked last
	Error     string    `json:"error,omitempty"`  // of that
	// Refused is the revision that the source has, if it is not used, and Why says why not.
	Refused string   `json:"refused,omitempty"`
	Why     string   `json:"refused_reason,omitempty"`
	Waiting *Waiting `json:"waiting,omitempty"`
	// OnTrial is until when it is on trial.
	OnTrial    time.Time   `json:"on_trial_until,omitzero"`
	RolledBack *RolledBack `json:"rolled_back,omitempty"`
}

// A Waiting is a revision whose rollout has not come to this host.
type Waiting struct {
	Revision string    `json:"revision"`
	For      string    `json:"for"`
	Until    time.Time `json:"until,omitzero"` // zero: its turn never comes
}

// A RolledBack is a revision that was in force after this one, and did harm.
type RolledBack struct {
	Revision string    `json:"revision"`
	Digest   string    `json:"digest"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
}

// Name is the revision, or the beginning of the digest.
func (b Bundle) Name() string {
	return cmp.Or(b.Revision, b.Digest[:min(len(b.Digest), len("sha256:")+12)])
}

// A BundleKey verifies signatures of bundles.
type BundleKey struct {
	ID        string `config:"id"`
	Key       string `config:"key"` // a public key as PEM, or the path of a file with one
	Algorithm string `config:"algorithm"`
	Scope     string `config:"scope"` // that a signature must have
}

// GoesBack reports whether a bundle is older than the present one. The order is that of the
// sequences: whole numbers, or times as RFC 3339 has them. Without a sequence the revision
// counts. A bundle without an order is older than one that has it, and nothing is older than
// a bundle without.
func (b Bundle) GoesBack(present Bundle) bool {
	kind, at := present.order()
	other, next := b.order()
	return kind != "" && (other != kind || next < at)
}

func (b Bundle) order() (kind string, at int64) {
	text := cmp.Or(b.Sequence, b.Revision)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return "number", n
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return "time", t.UnixNano()
	}
	return "", 0
}

// Digest is the digest of a file as registries have it.
func Digest(text []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(text)) }

// IsBundle reports whether an entry of the policy is a bundle, and no directory.
func IsBundle(source string) bool { return strings.Contains(source, "://") }

// IsFetched reports whether a bundle comes from the network.
func IsFetched(source string) bool { return IsBundle(source) && !strings.HasPrefix(source, "file://") }

// ShownSource is a source without the parts of a URL that may be secret: the user and the query.
func ShownSource(source string) string {
	scheme, rest, ok := strings.Cut(source, "://")
	if !ok {
		return source
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, _, query := strings.Cut(rest, "?")
	host, below, hasPath := strings.Cut(rest, "/")
	if at := strings.LastIndex(host, "@"); at >= 0 {
		host = "(hidden)" + host[at:]
	}
	shown := scheme + "://" + host
	if hasPath {
		shown += "/" + below
	}
	if query {
		shown += "?(hidden)"
	}
	return shown
}
