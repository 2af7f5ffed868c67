package facts

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
)

// BenchmarkProfile collects all facts of one profile as the engine does: of a profile with
// only its marker, and of a profile with every file.
func BenchmarkProfile(b *testing.B) {
	full := map[string]string{
		"profiles/coder/SOUL.md": "x", "profiles/coder/.env": "TELEGRAM_BOT_TOKEN=x\nAPI_SERVER_KEY=y\n",
		"profiles/coder/config.yaml":        "gateway: {standalone: true}\nplatforms:\n  telegram: {enabled: true}\n",
		"profiles/coder/gateway_state.json": `{"desired_state":"running","gateway_state":"running"}`,
		"profiles/coder/gateway.pid":        `{"pid":1,"start_time":2}`, "profiles/coder/gateway.lock": "", "profiles/coder/cron/jobs.json": "[]",
		"profiles/coder/state/gateway.lifecycle.json": `{"phase":"running"}`, "profiles/coder/gateway-starts.log": "1795000000.5\n",
	}
	for _, home := range []struct {
		name  string
		files map[string]string
	}{
		{"marker", map[string]string{"profiles/coder/SOUL.md": "x"}},
		{"full", full},
	} {
		b.Run(home.name, func(b *testing.B) {
			h := newHome(b, home.files)
			sources := Builtin(configFor(b, h)).Profile
			profiles, err := h.Profiles(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			collect := func() {
				dir, done, err := h.Open(profiles[0])
				if err != nil {
					b.Fatal(err)
				}
				defer done()
				for _, s := range sources {
					value, err := s.Collect(context.Background(), dir)
					if err != nil {
						b.Fatal(fmt.Errorf("%s: %w", s.Name(), err))
					}
					if _, err := json.Marshal(value); err != nil {
						b.Fatal(err)
					}
				}
			}
			collect() // exclude the work that a process does once
			for b.Loop() {
				collect()
			}
		})
	}
}
