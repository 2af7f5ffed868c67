package facts

import (
	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/hometest"
	"testing"
)

func TestHomeFacts(t *testing.T) {
	h := newHome(t, map[string]string{
		"ESTOP": "  broken bot\x1b[0m \nsecond line", ".drain_request.json": "-> nowhere", "active_profile": "coder\n",
		"state/reconcile.owner.json": `{"host":"gateway-1","boot_id":"7f3a","seen_at":"2026-11-22T05:00:00Z"}`,
	})
	c := configFor(t, h)
	hometest.Put(t, c.Home, "gateway_migration.json", `{"version":1,"migrated_at":"2026-11-22T05:00:00+0000","flag_was":false,"default":{"profile":"default"},"secondaries":[{"profile":"coder","home":"/opt/data/profiles/coder","pid":41,"service":null}]}`)
	facttest.Want(t, facttest.Collect(t, containerSource(t, c, "sentinels")), map[string]string{"migration": `{"profiles":["coder"],"since_unix":1795323600,"status":"recorded"}`, "estop/present": "true", "estop/reason": `"broken bot[0m"`, "drain_request": "true", "fleet_restart_pending": "false"})
	facttest.Want(t, facttest.Collect(t, containerSource(t, c, "active_profile")), map[string]string{"status": `"recorded"`, "name": `"coder"`})
	facttest.Want(t, facttest.Collect(t, containerSource(t, c, "owner_lease")), map[string]string{"status": `"recorded"`, "host": `"gateway-1"`, "boot_id": `"7f3a"`, "seen_at": `"2026-11-22T05:00:00Z"`, "seen_at_unix": "1795323600"})
	fact := facttest.Collect(t, containerSource(t, c, "disk"))
	if facttest.Get(fact, "home_total_bytes") == "0" || facttest.Get(fact, "status") != `"recorded"` {
		t.Errorf("disk: %v", fact)
	}
	c.Home = "/nowhere"
	facttest.Want(t, facttest.Collect(t, containerSource(t, c, "disk")), map[string]string{"status": `"unreadable"`, "error": `"no such file or directory"`})
}
