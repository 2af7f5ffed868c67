// Package publish makes OPA bundles of an operator's rules, for other containers. It is for
// authors: a boot reads bundles with package bundle.
package publish

import (
	"bytes"
	"fmt"
	"maps"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	opa "github.com/open-policy-agent/opa/v1/bundle"

	"hermes-reconcile/rego"
)

// Build returns a gzipped bundle of the rules and settings of a layer, signed by the key
// unless it is nil. Tests are left out. The same input gives the same bytes, but ES256 and its
// like sign differently each time. The caller has checked the layer.
func Build(layer rego.Layer, revision string, metadata map[string]any, key *Key) ([]byte, error) {
	rules, err := rego.ReadRules([]rego.Layer{layer}, nil)
	if err != nil {
		return nil, err
	}
	settings, err := rego.ReadSettings(layer)
	if err != nil {
		return nil, err
	}
	b := opa.Bundle{Data: map[string]any{}, Manifest: opa.Manifest{Revision: revision, Metadata: metadata, Roots: &[]string{}}}
	b.Manifest.SetRegoVersion(ast.RegoV1)
	for _, s := range rules.Sources {
		b.Modules = append(b.Modules, opa.ModuleFile{Path: "/" + s.File, Raw: s.Text})
		b.Manifest.AddRoot(strings.ReplaceAll(s.Package(), ".", "/"))
	}
	if len(settings) > 0 {
		b.Data["settings"] = settings
		b.Manifest.AddRoot("settings")
	}
	if key != nil {
		if err := b.GenerateSignature(key.config, key.ID, true); err != nil {
			return nil, err
		}
	}
	var file bytes.Buffer
	err = opa.NewWriter(&file).UseModulePath(true).DisableFormat(true).Write(b)
	return file.Bytes(), err
}

// Metadata reads metadata as key=value. The value is YAML.
func Metadata(given []string) (map[string]any, error) {
	all := map[string]any{}
	for _, one := range given {
		key, text, _ := strings.Cut(one, "=")
		values, _, err := rego.ParseSettings("--metadata", []byte("settings:\n  "+key+": "+text))
		if err != nil || len(values) != 1 || text == "" {
			return nil, fmt.Errorf("--metadata %q, want key=value with a value as YAML has it", one)
		}
		maps.Copy(all, values)
	}
	return all, nil
}
