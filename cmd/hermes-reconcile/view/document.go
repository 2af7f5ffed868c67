// Package view prints documents: as tables, JSON and YAML.
package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"hermes-reconcile/policy"
)

// Print prints a document in a format: as its table, which people read, or as JSON or YAML.
func Print[T any](w io.Writer, format string, value T, table func(io.Writer, T)) error {
	var text bytes.Buffer
	if format == "table" {
		table(&text, value)
	} else if err := document(&text, format, value); err != nil {
		return err
	}
	_, err := w.Write(text.Bytes())
	return err
}

// document writes a value as JSON or YAML. Cleaned by policy.Clean, it means the same.
func document(w *bytes.Buffer, format string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	if format == "json" {
		fmt.Fprintf(w, "%s\n", text)
		return nil
	}
	// Through JSON, so that both have the same keys in the same shape.
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(nodeOf(decoder)); err != nil {
		return err
	}
	return encoder.Close()
}

// nodeOf reads one JSON value, which this program has written, as YAML. Text with an
// unprintable character is in double quotes, where YAML has the escapes of JSON.
func nodeOf(decoder *json.Decoder) *yaml.Node {
	token, _ := decoder.Token()
	node := &yaml.Node{}
	switch token := token.(type) {
	case json.Delim:
		node.Kind = yaml.MappingNode
		if token == '[' {
			node.Kind = yaml.SequenceNode
		}
		for decoder.More() {
			node.Content = append(node.Content, nodeOf(decoder))
		}
		_, _ = decoder.Token() // the end
	case json.Number:
		node.Kind, node.Value = yaml.ScalarNode, token.String()
	default:
		_ = node.Encode(token) // a scalar
		if text, ok := token.(string); ok && policy.Clean(text) != text {
			node.Style = yaml.DoubleQuotedStyle
		}
	}
	return node
}

// line prints one line. No text in it breaks it.
func line(w io.Writer, format string, values ...any) {
	fmt.Fprintln(w, policy.Line(fmt.Sprintf(format, values...)))
}
