package rego

import "testing"

// The built-in layer keeps the contract that it asks of operators.
func TestBuiltInLoads(t *testing.T) {
	t.Parallel()
	e, err := Load([]Layer{BuiltIn()}, Options{CheckBuiltIn: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(e.packages) != 12 {
		t.Errorf("%d built-in rule packages, want 12", len(e.packages))
	}
}
