package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// Status reports unknown values as unknown: what should run and what runs.
func TestStatusOfWhatIsNotKnown(t *testing.T) {
	recorded := policy.Facts{"prior_state": json.RawMessage(`{"status":"recorded","desired":"running"}`)}
	up := `{"status":"recorded","running":true,"slots":{"gateway-coder":{"profile":"coder","kind":"directory","status":"recorded","supervised":true,"up":true,"pid":7}}}`
	tests := []struct {
		why       string
		facts     policy.Facts
		s6        string
		volumeErr error
		want      string // wanted, slot, now
		alarms    string
	}{
		{"all is known", recorded, up, nil, "up up up", ""},
		{"the volume did not answer", recorded, up, errors.New("the volume does not answer in time"), "? up up", ""},
		{"its state did not come in time", policy.Facts{"prior_state": json.RawMessage(`{"status":"timed_out"}`)}, up, nil, "? up up", "coder facts_incomplete"},
		{"its directory could not be opened", policy.Facts{"prior_state": json.RawMessage(`{"status":"failed","error":"x"}`)}, up, nil, "? up up", "coder facts_incomplete"},
		{"no facts at all", policy.Facts{}, up, nil, "? up up", "coder facts_incomplete"},
		{"the scan directory did not answer", recorded, `{"status":"timed_out"}`, nil, "up ? ?", "scandir, coder not_up"},
		{"no fact about it", recorded, ``, nil, "up ? ?", "scandir, coder not_up"},
		{"a fact of another shape", recorded, `[]`, nil, "up ? ?", "scandir, coder not_up"},
		{"this user may not look at the lock", recorded,
			`{"status":"recorded","slots":{"gateway-coder":{"profile":"coder","kind":"directory","status":"unreadable","error":"permission denied"}}}`, nil, "up up ?", "coder not_up"},
		{"an invalid status file", recorded,
			`{"status":"recorded","running":true,"slots":{"gateway-coder":{"profile":"coder","kind":"directory","status":"invalid","supervised":true}}}`, nil, "up up ?", "coder not_up"},
		{"a link in the place of a slot", recorded,
			`{"status":"recorded","running":true,"slots":{"gateway-coder":{"profile":"coder","kind":"link","status":"invalid"}}}`, nil, "up ? ?", "coder not_up"},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			s := engine.Situation{VolumeErr: test.volumeErr, Input: policy.Input{
				Container: policy.Facts{"s6": json.RawMessage(test.s6)}, Profiles: map[string]policy.Facts{"coder": test.facts},
			}}
			decisions := policy.Decisions{Profiles: map[string]policy.Decision{"coder": {Action: policy.ActionStart, Code: "prior_intent"}}}
			d := New("/scan", s, decisions)
			p := d.Profiles["coder"]
			if got := fmt.Sprintf("%s %s %s", p.Wanted, p.Slot, p.Now); got != test.want {
				t.Errorf("wanted, slot, now: %q, want %q", got, test.want)
			}
			if got := alarmCodes(d); got != test.alarms {
				t.Errorf("alarms %q, want %q", got, test.alarms)
			}
			if lines, want := d.Unhealthy(), test.why == "all is known"; (len(lines) == 0) != want {
				t.Errorf("the check: %q", lines)
			}
		})
	}
}

// Only its lock reveals a gateway that runs outside its slot. A gateway that is up in its
// slot holds the lock too.
func TestStatusOfAStrayGateway(t *testing.T) {
	for up, want := range map[string]string{"true": "", "false": "coder not_up, coder stray_gateway"} {
		s := engine.Situation{Input: policy.Input{
			Container: policy.Facts{"s6": json.RawMessage(`{"status":"recorded","running":true,"slots":{"gateway-coder":{"profile":"coder","kind":"directory","supervised":true,"up":` + up + `}}}`)},
			Profiles: map[string]policy.Facts{"coder": {
				"prior_state":   json.RawMessage(`{"status":"recorded"}`),
				"runtime_files": json.RawMessage(`{"status":"recorded","lock":{"status":"recorded","held":true}}`),
			}},
		}}
		decisions := policy.Decisions{Profiles: map[string]policy.Decision{"coder": {Action: policy.ActionStart}}}
		if got := alarmCodes(New("", s, decisions)); got != want {
			t.Errorf("up %s: alarms %q, want %q", up, got, want)
		}
	}
}

// alarmCodes writes the alarms of the status as "coder not_up, scandir".
func alarmCodes(d *Document) string {
	var codes []string
	for _, a := range d.Alarms {
		codes = append(codes, strings.TrimSpace(a.Profile+" "+a.Code))
	}
	return strings.Join(codes, ", ")
}

// Both containers on a volume name its owner.
func TestTheOwnerOfTheVolume(t *testing.T) {
	const lease = `{"status":"recorded","host":"gateway-1","id":"x","seen_at_unix":1795327188}`
	for _, test := range []struct{ why, lease, own, want string }{
		{"this container", lease, `{"status":"recorded","id":"x"}`, "gateway-1 (this container), seen 12 s ago"},
		{"another container", lease, `{"status":"recorded","id":"y"}`, "gateway-1 (another container), seen 12 s ago"},
		{"without a watch", lease, `{"status":"missing"}`, "gateway-1 (another container), seen 12 s ago"},
		{"no lease", `{"status":"missing"}`, `{"status":"recorded","id":"x"}`, ""},
		{"a lease of nobody", `{"status":"recorded","seen_at_unix":5}`, `{"status":"missing"}`, ""},
		{"a fact of another shape", `[]`, `7`, ""},
	} {
		s := engine.Situation{Input: policy.Input{
			Now:       policy.Now{UnixNS: 1795327200e9},
			Container: policy.Facts{"owner_lease": json.RawMessage(test.lease), "own_lease": json.RawMessage(test.own)},
		}}
		d, got := New("/scan", s, policy.Decisions{}), ""
		if d.Volume.Owner != nil {
			got = d.Volume.Owner.Describe(d.At)
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.why, got, test.want)
		}
	}
}
