// Package view prints documents: as tables, JSON, YAML and the text format of Prometheus.
package view

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Document prints a value as JSON or YAML.
func Document(w io.Writer, format string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	if format == "json" {
		_, err = fmt.Fprintf(w, "%s\n", text)
		return err
	}
	// Through JSON, so that both have the same keys in the same shape.
	var plain any
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	if err := decoder.Decode(&plain); err != nil {
		return err
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(plain); err != nil {
		return err
	}
	return encoder.Close()
}
