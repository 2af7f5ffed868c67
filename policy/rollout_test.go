package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A host waits until a step has it: by its place among the hosts, or by a label.
func TestRolloutWait(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 11, 28, 1, 0, 0, 0, time.UTC)
	b := Bundle{Revision: "v7", Sequence: begin.Format(time.RFC3339)}
	r := Rollout{Steps: []RolloutStep{{Label: "wave=canary"}, {Percent: 25, After: "30m"}, {Percent: 100, After: "2h"}}}
	early, late := placed(t, "v7", 0, 25), placed(t, "v7", 25, 100)
	for _, test := range []struct {
		why    string
		labels map[string]string
		now    time.Duration
		want   string
		until  time.Duration
	}{
		{"a canary", map[string]string{"host": late, "wave": "canary"}, 0, "", 0},
		{"before the bundle is made, by this clock", map[string]string{"host": late, "wave": "canary"}, -time.Second, "0 % of hosts, this one is at ", 0},
		{"another label", map[string]string{"host": early, "wave": "rest"}, 0, "0 % of hosts and wave=canary, this one is at ", 30 * time.Minute},
		{"the turn of a quarter", map[string]string{"host": early}, 30 * time.Minute, "", 0},
		{"not of the others", map[string]string{"host": late}, 30 * time.Minute, "25 % of hosts and wave=canary, this one is at ", 2 * time.Hour},
		{"the turn of all", map[string]string{"host": late}, 2 * time.Hour, "", 0},
	} {
		w, err := r.Wait(b, test.labels, begin.Add(test.now))
		if err != nil || (w == nil) != (test.want == "") {
			t.Errorf("%s: %+v, %v", test.why, w, err)
			continue
		}
		if w != nil && (w.Revision != "v7" || !strings.HasPrefix(w.For, test.want) || !w.Until.Equal(begin.Add(test.until))) {
			t.Errorf("%s: %+v, want %q until %s", test.why, w, test.want, begin.Add(test.until))
		}
	}
	if w, err := (Rollout{Steps: r.Steps[:2]}).Wait(b, map[string]string{"host": late}, begin.Add(time.Hour)); err != nil || w == nil || !w.Until.IsZero() {
		t.Errorf("a host that no step has: %+v, %v", w, err)
	}
	if _, err := r.Wait(Bundle{Revision: "41"}, nil, begin); err == nil || !strings.Contains(err.Error(), "its rollout has no begin: want a revision") {
		t.Errorf("a bundle without a time: %v", err)
	}
	if w, err := (Rollout{}).Wait(Bundle{Revision: "41"}, nil, begin); w != nil || err != nil {
		t.Errorf("without a rollout: %+v, %v", w, err)
	}
}

// placed returns a host whose place for a revision is in a range.
func placed(t *testing.T, revision string, from, below int) string {
	t.Helper()
	for i := range 1000 {
		if host := fmt.Sprint("host-", i); hostPosition(host, revision) >= from && hostPosition(host, revision) < below {
			return host
		}
	}
	t.Fatal("no host is there")
	return ""
}

// Each revision has other hosts first, and each place has hosts.
func TestHostPositions(t *testing.T) {
	t.Parallel()
	places, same := map[int]bool{}, 0
	for i := range 10000 {
		one := hostPosition(fmt.Sprint("host-", i), "1")
		places[one] = true
		if one == hostPosition(fmt.Sprint("host-", i), "2") {
			same++
		}
	}
	if len(places) != 100 || same > 300 {
		t.Errorf("%d places, and %d of 10000 hosts have the same for both revisions", len(places), same)
	}
	if got := hostPosition("host-7", "2026-11-28T01:00:00Z"); got != 53 {
		t.Errorf("host-7 is at %d: another version of the program must not place it elsewhere", got)
	}
}

func TestRolloutCheck(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]Rollout{
		"":                          {Steps: []RolloutStep{{Percent: 5, After: "0s"}, {Label: "a="}, {Percent: 100, Label: "a=b=c", After: "2h"}}, Soak: "10m"},
		`soak is "10", want a dura`: {Soak: "10"},
		`step 1: after is "-1s"`:    {Steps: []RolloutStep{{Percent: 5, After: "-1s"}}},
		"step 2: percent is 101":    {Steps: []RolloutStep{{Percent: 5}, {Percent: 101}}},
		"step 1: percent is -1":     {Steps: []RolloutStep{{Percent: -1}}},
		"step 1: want a percent or": {Steps: []RolloutStep{{After: "1h"}}},
		`label is "canary", want n`: {Steps: []RolloutStep{{Label: "canary"}}},
		`label is "=canary", want`:  {Steps: []RolloutStep{{Label: "=canary"}}},
	} {
		if err := r.Check(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
}
