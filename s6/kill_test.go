package s6

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
)

// A stop succeeds when the gateway is killed, although the supervisor did not get the
// command that kills.
func TestKillThatIsNotHeard(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]policy.Decisions{"bring-down": decide("coder=down"), "remove": decide("coder=skip")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLive(t)
			w.exec.Command = []string{w.script("stubborn", "trap '' TERM\necho ready\nwhile :; do sleep 0.05; done\n")}
			w.apply(decide("coder=start"))
			w.until("coder ignores TERM", func() bool {
				text, _ := os.ReadFile(filepath.Join(w.home, "logs/gateways/coder/current"))
				return strings.Contains(string(text), "ready")
			})
			pid := w.facts().Slots["gateway-coder"].PID
			w.exec.Log = slog.New(onRecord(func() { // "a gateway does not stop and is killed"
				_ = os.Remove(w.slot("coder", superviseControl))
				s6test.Signal(t, pid, unix.SIGKILL)
			}))
			w.waiting.Kill, w.waiting.Wait = true, 2*time.Second
			r := w.execute(w.plan(d))[0]
			if r.Err != nil || !r.Done {
				t.Errorf("%s: done %v, %v", r.Operation.Op, r.Done, r.Err)
			}
		})
	}
}
