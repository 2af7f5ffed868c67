package bundle

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	opa "github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

// Info is what a bundle says of itself, and whether it would be used.
type Info struct {
	SchemaVersion policy.Version `json:"schema_version"`
	policy.Bundle
	Ordered   bool           `json:"ordered"` // an older bundle does not replace it
	Roots     []string       `json:"roots"`
	Metadata  map[string]any `json:"metadata,omitempty"`
	Files     []string       `json:"files"`
	Rules     []string       `json:"rules"` // packages
	Settings  []string       `json:"settings"`
	Signature *Signature     `json:"signature"`          // nil: it has none
	NotUsed   string         `json:"not_used,omitempty"` // why these sources would not use it
	Image     string         `json:"image,omitempty"`    // its digest in a registry, after a push
}

// A Signature is what a signature says of itself. Anybody can have written it.
type Signature struct {
	KeyID     string `json:"key_id"`
	Algorithm string `json:"algorithm"`
}

// Inspect describes the text of a bundle. Signed and NotUsed are as with these sources. The
// error is about a file that no sources would use.
func (s Sources) Inspect(source string, text []byte) (Info, error) {
	i := Info{Roots: []string{}, Files: []string{}, Rules: []string{}, Settings: []string{}}
	i.Source, i.Digest = policy.ShownSource(source), policy.Digest(text)
	layer, err := s.open(text, nil, &i.Bundle)
	if err != nil {
		return i, err
	}
	rules, err := rego.ReadRules([]rego.Layer{{Name: i.Source, Files: layer}}, nil)
	if err != nil {
		return i, err
	}
	for _, r := range rules.Sources {
		i.Rules = append(i.Rules, r.Package())
	}
	i.Settings = append(i.Settings, slices.Sorted(maps.Keys(rules.Settings))...)
	i.Ordered = policy.Bundle{}.GoesBack(i.Bundle)
	keys, err := s.verification()
	if err == nil {
		_, err = s.open(text, keys, &i.Bundle)
	}
	if err != nil {
		i.NotUsed = err.Error()
	}
	files, err := s.unpack(text)
	i.list(files)
	return i, err
}

// list lists the files, and what the manifest and the signature among them say.
func (i *Info) list(files map[string][]byte) {
	i.Files = append(i.Files, slices.Sorted(maps.Keys(files))...)
	if text, ok := files[signatures]; ok {
		i.Signature = describe(text)
	}
	var manifest opa.Manifest
	_ = util.Unmarshal(files[opa.ManifestExt], &manifest) // open has read it, or there is none
	if i.Metadata = manifest.Metadata; manifest.Roots != nil {
		i.Roots = *manifest.Roots
	}
}

// describe reads the header of the first token. What cannot be read stays empty.
func describe(signatures []byte) *Signature {
	var all opa.SignaturesConfig
	var header struct{ Alg, Kid string }
	if json.Unmarshal(signatures, &all) == nil && len(all.Signatures) > 0 {
		head, _, _ := strings.Cut(all.Signatures[0], ".")
		text, _ := base64.RawURLEncoding.DecodeString(head)
		_ = json.Unmarshal(text, &header)
	}
	return &Signature{KeyID: header.Kid, Algorithm: header.Alg}
}
