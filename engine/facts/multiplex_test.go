package facts

import (
	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/hometest"
	"testing"
)

func TestMultiplex(t *testing.T) {
	for _, c := range []struct {
		name, env, config string
		want              map[string]string
	}{
		{"default", "", "", map[string]string{"status": `"recorded"`, "on": "false", "source": `"default"`, "config_status": `"missing"`}},
		{"environment wins", "off", "multiplex_profiles: true", map[string]string{"on": "false", "source": `"environment"`}},
		{"blank is unset", "  ", "gateway: {multiplex_profiles: true}", map[string]string{"on": "true", "source": `"config"`}},
		{"top level", "", "multiplex_profiles: Yes", map[string]string{"on": "true", "source": `"config"`}},
		{"nested before top", "", "multiplex_profiles: true\ngateway: {multiplex_profiles: false}", map[string]string{"on": "false", "source": `"config"`}},
		{"another word", "maybe", "multiplex_profiles: true", map[string]string{"on": "true", "source": `"config"`, "warnings": `["GATEWAY_MULTIPLEX_PROFILES: want 1, true, yes, on or 0, false, no, off"]`}},
		{"broken config", "", "a: [", map[string]string{"status": `"invalid"`, "on": "false", "config_status": `"invalid"`}},
		{"broken config, environment", "1", "a: [", map[string]string{"status": `"recorded"`, "on": "true", "config_status": `"invalid"`}},
		{"allow-list", "", "gateway: {multiplex_profile_allowlist: [a, b], profile_routes: {x: a}}", map[string]string{"allowlist": `["a","b"]`, "routes": "1"}},
		{"a FIFO", "", "fifo", map[string]string{"status": `"unreadable"`, "on": "false"}},
		{"a link", "", "-> elsewhere.yaml", map[string]string{"status": `"unreadable"`, "on": "false"}},
		{"quoted, as --env-file keeps it", `"true"`, "", map[string]string{"on": "true", "source": `"environment"`, "warnings": `["GATEWAY_MULTIPLEX_PROFILES: the value has quotes in it"]`}},
		{"merged by an anchor", "", "base: &b {multiplex_profiles: true}\ngateway: {<<: *b}", map[string]string{"on": "true"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{}
			if c.config != "" {
				files["config.yaml"] = c.config
			}
			config := configFor(t, newHome(t, files))
			config.Environ = []string{"GATEWAY_MULTIPLEX_PROFILES=" + c.env}
			facttest.Want(t, facttest.Collect(t, containerSource(t, config, "multiplex")), c.want)
		})
	}
}

// The .env of the home wins over the environment, and what the administrator pins over both.
func TestMultiplexLayers(t *testing.T) {
	h := newHome(t, map[string]string{".env": "GATEWAY_MULTIPLEX_PROFILES=off\n", "config.yaml": "gateway: {multiplex_profiles: true}"})
	c := configFor(t, h)
	c.Environ = []string{"GATEWAY_MULTIPLEX_PROFILES=on"}
	facttest.Want(t, facttest.Collect(t, containerSource(t, c, "multiplex")), map[string]string{"on": "false", "source": `".env"`})
	hometest.Put(t, c.ManagedDir, ".env", "GATEWAY_MULTIPLEX_PROFILES=1\n")
	facttest.Want(t, facttest.Collect(t, containerSource(t, c, "multiplex")), map[string]string{"on": "true", "source": `"managed"`})

	h = newHome(t, map[string]string{"config.yaml": "gateway: {multiplex_profiles: true}"})
	c = configFor(t, h)
	hometest.Put(t, c.ManagedDir, "config.yaml", "gateway: {multiplex_profiles: false}")
	facttest.Want(t, facttest.Collect(t, containerSource(t, c, "multiplex")), map[string]string{"on": "false", "source": `"managed"`})
}
