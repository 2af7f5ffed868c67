package metrics

import (
	"strings"
	"testing"

	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
)

// A name that an agent chose cannot break a line or a label.
func TestPrometheusEscapes(t *testing.T) {
	d := &status.Document{Profiles: map[string]status.Profile{"a\"b\\c\nd": {Wanted: status.WantedUp, Now: policy.NowUp}}}
	var text strings.Builder
	Print(&text, d)
	if want := `hermes_reconcile_profile_up{profile="a\"b\\c\nd"} 1` + "\n"; !strings.Contains(text.String(), want) {
		t.Errorf("got\n%s\nwant %s", text.String(), want)
	}
}
