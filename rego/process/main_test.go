package process

import (
	"os"
	"testing"
)

// TestMain lets the test program also run as the child.
func TestMain(m *testing.M) {
	if IsChild(os.Args) {
		os.Exit(Serve())
	}
	os.Exit(m.Run())
}
