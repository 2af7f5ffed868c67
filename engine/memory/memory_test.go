package memory

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// resident returns the pages of files that the process has in memory, in KiB.
func resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "RssFile:"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Skip("this kernel does not tell RssFile")
	return 0
}

func TestRest(t *testing.T) {
	text, err := os.ReadFile("/proc/self/exe") // so that all of it is in the page cache
	if err != nil {
		t.Fatal(err)
	}
	before := resident(t)
	Rest()
	if after := resident(t); after >= before {
		t.Errorf("%d KiB of files before, %d after; the program has %d", before, after, len(text)>>10)
	}
}
