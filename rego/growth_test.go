package rego

import "testing"

// skipUnderRace skips a test that counts steps or bytes over hundreds of profiles. The
// race detector would take a minute for it and find nothing: the counted code runs in
// one goroutine. The pass without the race detector runs these tests.
func skipUnderRace(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("counts the work of one goroutine: runs without the race detector")
	}
}
