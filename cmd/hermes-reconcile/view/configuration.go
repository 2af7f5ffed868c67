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
		text, isText := v.Value.(string)
		if !isText {
			encoded, err := json.Marshal(v.Value)
			if err != nil {
				encoded = []byte(err.Error())
			}
			text = string(encoded)
		}
		t.row(v.Key, text, strings.TrimSpace(strings.TrimPrefix(v.Source+" "+v.Location, "file ")))
	}
	t.end()
}
