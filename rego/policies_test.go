package rego

import (
	"embed"
	"testing"
)

// The built-in layer keeps the contract that it asks of operators.
func TestBuiltInLoads(t *testing.T) {
	t.Parallel()
	e, err := Load([]Layer{BuiltIn(), {Name: "empty", Files: embed.FS{}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(e.packages) != 18 {
		t.Errorf("%d built-in rule packages, want 18", len(e.packages))
	}
}
