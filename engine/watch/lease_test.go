package watch

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"hermes-reconcile/policy"
)

// T0 is when the tests of the lease begin. The container started 300 s before.
const t0 = 1795327200

func lookAt(now int64, lease string) LeaseLook {
	return LeaseLook{Now: time.Unix(now, 0), TTL: 30 * time.Second, Container: policy.Facts{
		"host":        json.RawMessage(fmt.Sprintf(`{"hostname":"gateway-2","started_at_unix":%d}`, t0-300)),
		"owner_lease": json.RawMessage(lease),
	}}
}

func theirs(seen int64) string {
	return fmt.Sprintf(`{"status":"recorded","host":"gateway-1","id":"theirs","seen_at_unix":%d,"ttl_seconds":30}`, seen)
}

func TestLeaseSteps(t *testing.T) {
	t.Parallel()
	held := LeaseMemory{ID: "ours", HeldUnix: t0 - 200}
	for _, test := range []struct {
		why    string
		memory LeaseMemory
		lease  string
		aside  bool
		want   LeaseStep
	}{
		{"no lease", LeaseMemory{ID: "ours"}, `{"status":"missing"}`, false, LeaseTake},
		{"no lease, and this container stands aside", LeaseMemory{ID: "ours"}, `{"status":"missing"}`, true, LeaseWait},
		{"a volume that does not answer", LeaseMemory{ID: "ours"}, `{"status":"timed_out"}`, false, LeaseWait},
		{"a file that makes no sense", LeaseMemory{ID: "ours"}, `{"status":"invalid"}`, false, LeaseTake},
		{"the own lease", LeaseMemory{ID: "ours"}, `{"status":"recorded","host":"gateway-2","id":"ours","seen_at_unix":1}`, false, LeaseRenew},
		{"the own lease of before the restart", LeaseMemory{ID: "ours"}, fmt.Sprintf(`{"status":"recorded","host":"gateway-2","id":"old","seen_at_unix":%d,"ttl_seconds":90}`, t0-301), false, LeaseTake},
		{"a namesake", LeaseMemory{ID: "ours"}, fmt.Sprintf(`{"status":"recorded","host":"gateway-2","id":"old","seen_at_unix":%d}`, t0-5), false, LeaseWait},
		{"a fresh lease", LeaseMemory{ID: "ours"}, theirs(t0 - 5), false, LeaseWait},
		{"a lease that the clock calls stale", LeaseMemory{ID: "ours"}, theirs(t0 - 600), false, LeaseWait},
		{"a lease from the future", LeaseMemory{ID: "ours"}, theirs(t0 + 600), false, LeaseWait},
		{"a fresh lease in place of ours", held, theirs(t0 - 5), false, LeaseLost},
		{"a stale lease in place of ours", held, theirs(t0 - 600), false, LeaseWait},
		{"a lease that was ours before the container started", LeaseMemory{ID: "ours", HeldUnix: t0 - 400}, theirs(t0 - 5), false, LeaseWait},
	} {
		look := lookAt(t0, test.lease)
		look.Aside = test.aside
		if got, _ := test.memory.Next(look); got != test.want {
			t.Errorf("%s: %s, want %s", test.why, got, test.want)
		}
	}
}

// Each story is what one watch sees, second by second.
func TestLeaseStories(t *testing.T) {
	t.Parallel()
	type moment struct {
		at    int64
		lease string
		want  LeaseStep
	}
	const gone = `{"status":"missing"}`
	for why, story := range map[string][]moment{
		"the owner dies":                   {{0, theirs(t0), LeaseWait}, {19, theirs(t0), LeaseWait}, {20, theirs(t0), LeaseTake}},
		"the owner lives":                  {{0, theirs(t0), LeaseWait}, {30, theirs(t0 + 30), LeaseWait}, {60, theirs(t0 + 55), LeaseWait}, {79, theirs(t0 + 55), LeaseWait}, {80, theirs(t0 + 55), LeaseTake}},
		"its clock is ten minutes behind":  {{0, theirs(t0 - 600), LeaseWait}, {20, theirs(t0 - 580), LeaseWait}, {50, theirs(t0 - 550), LeaseWait}, {70, theirs(t0 - 550), LeaseTake}},
		"its clock is ten minutes ahead":   {{0, theirs(t0 + 600), LeaseWait}, {20, theirs(t0 + 620), LeaseWait}, {40, theirs(t0 + 620), LeaseTake}},
		"the owner releases":               {{0, theirs(t0), LeaseWait}, {3, gone, LeaseTake}},
		"this container was paused":        {{0, gone, LeaseTake}, {200, theirs(t0 + 195), LeaseLost}, {229, theirs(t0 + 225), LeaseLost}, {230, theirs(t0 + 225), LeaseWait}, {231, theirs(t0 + 225), LeaseWait}},
		"a planted lease for a moment":     {{0, gone, LeaseTake}, {10, theirs(t0 + 10), LeaseLost}, {20, gone, LeaseTake}, {30, theirs(t0 + 30), LeaseLost}, {49, theirs(t0 + 30), LeaseLost}, {50, theirs(t0 + 30), LeaseTake}},
		"a lease without id that is alive": {{0, `{"status":"recorded","host":"x","seen_at_unix":1}`, LeaseWait}, {20, `{"status":"recorded","host":"x","seen_at_unix":2}`, LeaseWait}, {39, `{"status":"recorded","host":"x","seen_at_unix":2}`, LeaseWait}},
	} {
		m := LeaseMemory{ID: "ours"}
		for _, now := range story {
			var got LeaseStep
			if got, m = m.Next(lookAt(t0+now.at, now.lease)); got != now.want {
				t.Errorf("%s, after %d s: %s, want %s (%+v)", why, now.at, got, now.want, m)
			}
		}
	}
}

// Two watches that follow the steps on one volume: never do both have the lease.
func TestTwoContainersOneLease(t *testing.T) {
	t.Parallel()
	for skew := int64(-600); skew <= 600; skew += 300 {
		lease, owners := `{"status":"missing"}`, map[string]bool{}
		a, b := LeaseMemory{ID: "a"}, LeaseMemory{ID: "b"}
		step := func(m *LeaseMemory, now, clock int64) {
			look := lookAt(now+clock, lease)
			look.Container["host"] = json.RawMessage(fmt.Sprintf(`{"hostname":%q,"started_at_unix":%d}`, m.ID, t0-1000))
			got, next := m.Next(look)
			*m = next
			if got == LeaseTake || got == LeaseRenew {
				lease = fmt.Sprintf(`{"status":"recorded","host":%q,"id":%q,"seen_at_unix":%d,"ttl_seconds":30}`, m.ID, m.ID, now+clock)
				owners[m.ID] = true
			}
		}
		for now := int64(t0); now < t0+300; now += 10 {
			step(&a, now, 0)
			step(&b, now, skew)
		}
		if len(owners) != 1 {
			t.Errorf("clocks %d s apart: owners %v, want one", skew, owners)
		}
		died := int64(t0 + 300)
		for now := died; now <= died+30; now += 10 {
			step(&b, now, skew)
		}
		if !owners["b"] || b.HeldUnix == 0 {
			t.Errorf("clocks %d s apart: after the end of the owner %+v, want that the other took over", skew, b)
		}
	}
}
