package progress

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/s6/supervise"
)

// Each row is a sight of a slot and the verdict that follows, in the order of time.
func TestNext(t *testing.T) {
	t.Parallel()
	start := time.Unix(1790000000, 0)
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	up := func(pid int) supervise.Status { return supervise.Status{Stamp: at(-100), PID: pid, WantUp: true} }
	down := func(stamp float64, waitCode uint16) supervise.Status {
		return supervise.Status{Stamp: at(stamp), WaitCode: waitCode}
	}
	const exit3, exit0, term = 3 << 8, 0, 15
	start0 := Progress{Up: true, UpFor: 2 * time.Second, AskedAt: start, Before: down(-100, exit0)}
	stop0 := Progress{AskedAt: start, Before: up(7)}
	remove0 := Progress{AskedAt: start, Before: up(7), Removing: true}
	restart0 := Progress{AskedAt: start, Before: up(7), ThenUp: true}

	type row struct {
		s    Sight
		want string // the verdict, and the error
	}
	seen := func(seconds float64, s supervise.Status, more ...func(*Sight)) Sight {
		v := Sight{Now: at(seconds), Status: s, Known: true}
		for _, m := range more {
			m(&v)
		}
		return v
	}
	gone := func(s *Sight) { s.Gone = true }
	downFile := func(s *Sight) { s.DownFile = true }
	unsupervised := func(s *Sight) { s.Unsupervised, s.Known = true, false }
	death := func(seconds float64) func(*Sight) { return func(s *Sight) { s.Death = at(seconds) } }

	tests := map[string]struct {
		p    Progress
		rows []row
	}{
		"a start that lasts": {start0, []row{
			{seen(0, down(-100, exit0)), "wait"},
			{seen(0.1, supervise.Status{PID: 8, WantUp: true, Finishing: true}), "wait"},
			{Sight{Now: at(0.2)}, "wait"}, // an invalid status
			{seen(0.3, up(8)), "wait"}, {seen(2.2, up(8)), "wait"}, {seen(2.3, up(8)), "done"},
		}},
		"a start without a time to stay up": {Progress{Up: true, AskedAt: start, Before: down(-100, exit0)}, []row{{seen(0, up(8)), "done"}}},
		"a start without effect is repeated each second": {start0, []row{
			{seen(0.9, down(-100, exit0)), "wait"}, {seen(1, down(-100, exit0)), "ask again"},
			{seen(1.9, down(-100, exit0)), "wait"}, {seen(2, down(-100, exit0)), "ask again"},
		}},
		"it ends by itself and stays down": {start0, []row{{seen(0.5, down(0.4, exit3)), "the gateway ended at once with exit code 3 and stays down"}}},
		"it ends by itself with a down file": {start0, []row{
			{seen(0.5, down(0.4, exit3), downFile), "exit code 3 and stays down: a stop or a used-up budget made its down file"}}},
		"it is stopped and stays down": {start0, []row{
			{seen(0.5, down(0.4, term)), "wait"}, {seen(2.4, down(0.4, term)), "wait"}, {seen(2.5, down(0.4, term)), "signal 15 and stays down"}}},
		"it is stopped by another user's restart": {start0, []row{
			{seen(0.1, up(8)), "wait"}, {seen(1, up(9), func(s *Sight) { s.Status.Stamp, s.Death = at(1), at(1) }), "wait"},
			{seen(2.5, up(9), death(1)), "wait"}, {seen(4.4, up(9), death(1)), "wait"}, {seen(4.5, up(9), death(1)), "done"}}},
		"it ends and is started again": {start0, []row{
			{seen(0.1, up(8)), "wait"},
			{seen(1, supervise.Status{Stamp: at(1), PID: 9, WantUp: true, WaitCode: exit3}, death(1)), "the gateway ended after less than 2s with exit code 3; it is started again"}}},
		"its finish script still runs": {start0, []row{
			{seen(1, supervise.Status{Stamp: at(1), PID: 9, WantUp: true, WaitCode: exit3, Finishing: true}, death(1)), "wait"}}},
		"its slot is removed meanwhile": {start0, []row{{seen(0.1, up(8), gone), "its slot was removed meanwhile"}}},

		"a stop": {stop0, []row{
			{seen(0, up(7)), "wait"}, {seen(0.1, supervise.Status{PID: 9, Finishing: true}), "wait"},
			{seen(0.2, supervise.Status{WantUp: true}), "wait"}, {seen(0.3, down(0.2, term), downFile), "done"}}},
		"a stop whose down file is removed": {stop0, []row{
			{seen(0.3, down(0.2, term)), "wait"}, {seen(1, down(0.2, term)), "ask again"}, {seen(1.1, down(0.2, term), downFile), "done"}}},
		"its supervisor ends":                                     {stop0, []row{{seen(0.3, supervise.Status{}, unsupervised, downFile), "done"}}},
		"the slot of a stop is removed":                           {stop0, []row{{seen(0.3, up(7), gone), "done"}}},
		"its down file is unreadable":                             {stop0, []row{{seen(0.3, up(7), func(s *Sight) { s.Err = unix.EIO }), "input/output error"}}},
		"a stop is not over when another user starts the gateway": {stop0, []row{{seen(0.3, up(8)), "wait"}}},
		"a removal needs no down file": {remove0, []row{
			{seen(0.1, supervise.Status{PID: 7}), "wait"}, {seen(0.3, down(0.2, term)), "done"}}},
		"a removal stops a gateway that another user starts": {remove0, []row{
			{seen(0.9, up(8)), "wait"}, {seen(1, up(8)), "ask again"}, {seen(1.5, down(1.2, term)), "done"}}},
		"a restart's stop is over when another user has restarted it": {restart0, []row{{seen(0.3, up(7)), "wait"}, {seen(0.4, up(8)), "done"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := test.p
			for i, row := range test.rows {
				var v Verdict
				var err error
				p, v, err = p.Next(row.s)
				got := []string{"wait", "done", "ask again", "failed"}[v]
				if v == Failed && err != nil {
					got = err.Error()
				}
				if !strings.HasSuffix(got, row.want) || (v == Failed) != (err != nil) {
					t.Errorf("sight %d: got %q, want %q", i, got, row.want)
				}
			}
		})
	}
}
