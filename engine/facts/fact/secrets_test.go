package fact

import "testing"

// A fingerprint is the name that upstream gives to a token lock.
func TestFingerprint(t *testing.T) {
	if got := Fingerprint("abc"); got != "ba7816bf8f01cfea" {
		t.Errorf(`Fingerprint("abc") = %s`, got)
	}
}
