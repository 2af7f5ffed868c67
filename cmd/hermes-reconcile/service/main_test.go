package service

import (
	"os"
	"testing"

	"hermes-reconcile/rego/process"
)

// TestMain is the process of the rules too.
func TestMain(m *testing.M) {
	if process.IsChild(os.Args) {
		os.Exit(process.Serve())
	}
	os.Exit(m.Run())
}
