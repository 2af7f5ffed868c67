package remote

import (
	"os"
	"testing"
)

// TestMain makes the test program the child as well, which a test starts.
func TestMain(m *testing.M) {
	if IsChild(os.Args) {
		os.Exit(Serve())
	}
	os.Exit(m.Run())
}
