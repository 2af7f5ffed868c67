package view

import (
	"encoding/json"
	"io"
	"strings"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/policy"
)

// A Configuration is what is in force.
type Configuration struct {
	SchemaVersion policy.Version `json:"schema_version"`
	Values        []config.Value `json:"values"`
}

// ConfigurationTable prints a configuration for people.
func ConfigurationTable(w io.Writer, c Configuration) {
	t := newTable(w, "KEY", "VALUE", "FROM")
	for _, v := range c.Values {
		t.row(v.Key, ValueText(v.Value), strings.TrimSpace(strings.TrimPrefix(v.Source+" "+v.Location, "file ")))
	}
	t.end()
}

// ValueText is a value for people: a text as it is, anything else as JSON.
func ValueText(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}
