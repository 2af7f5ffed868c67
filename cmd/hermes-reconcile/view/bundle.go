package view

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"hermes-reconcile/rego/bundle"
)

// Bundle prints what is in a bundle.
func Bundle(w io.Writer, i bundle.Info) {
	order := "an older bundle does not replace it"
	if !i.Ordered {
		order = "any other bundle replaces it: it is neither a number nor a time, and metadata has no sequence"
	}
	signature := "none"
	if i.Signature != nil {
		signature = fmt.Sprintf("%s, key %q", i.Signature.Algorithm, i.Signature.KeyID)
	}
	switch {
	case i.Signed:
		signature += ", holds"
	case i.Signature != nil && i.NotUsed == "":
		signature += ", not verified: policy_keys has no key"
	}
	metadata := ""
	if text, err := json.Marshal(i.Metadata); err == nil && len(i.Metadata) > 0 {
		metadata = string(text)
	}
	table := newTable(w)
	for _, row := range [][2]string{
		{"bundle", i.Source}, {"revision", i.Revision + "; " + order}, {"digest", i.Digest}, {"image", i.Image}, {"signature", signature},
		{"not used", i.NotUsed}, {"metadata", metadata}, {"roots", strings.Join(i.Roots, ", ")},
		{"files", strings.Join(i.Files, ", ")}, {"rules", strings.Join(i.Rules, ", ")}, {"settings", strings.Join(i.Settings, ", ")},
	} {
		if row[1] != "" {
			table.row(row[0], row[1])
		}
	}
	table.end()
}
