package view

import (
	"io"

	"hermes-reconcile/cmd/hermes-reconcile/schemas"
	"hermes-reconcile/policy"
)

// A SchemaList is the documents that have a JSON Schema. `schema` prints it.
type SchemaList struct {
	SchemaVersion policy.Version     `json:"schema_version"`
	Schemas       []schemas.Document `json:"schemas"`
}

// Schemas prints the documents and the commands that print them.
func Schemas(w io.Writer, l SchemaList) {
	table := newTable(w, "DOCUMENT", "WHAT IT IS")
	for _, d := range l.Schemas {
		table.row(d.Name, d.About)
	}
	table.end()
}
