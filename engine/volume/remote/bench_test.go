package remote

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hermes-reconcile/engine/child"
	"hermes-reconcile/policy"
)

// BenchmarkCollect collects the facts of many profiles and discards them, encoded as the
// child does: BenchmarkCollect/<profiles>.
func BenchmarkCollect(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			home := b.TempDir()
			for i := range n {
				dir := filepath.Join(home, "profiles", fmt.Sprintf("p%05d", i))
				if err := os.MkdirAll(dir, 0o755); err != nil {
					b.Fatal(err)
				}
				for name, text := range map[string]string{
					"SOUL.md": "# Soul\n", "gateway.pid": `{"pid": 100, "start_time": 4242}`,
					"gateway_state.json": fmt.Sprintf(`{"desired_state": "running", "gateway_state": "running", "pid": %d}`, 100+i),
				} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
						b.Fatal(err)
					}
				}
			}
			v := &server{out: child.NewStream(nil, io.Discard)}
			defer v.close()
			v.open(Settings{Home: home, Phase: policy.PhaseBoot, Timeout: time.Minute, SourceTimeout: time.Minute})
			if v.err != nil {
				b.Fatal(v.err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := v.answer(b.Context(), request{Collect: true}, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
