package facts

import (
	"bytes"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// uncleanTag marks a line that upstream's gateway writes when the gateway before it did not
// end by itself.
const uncleanTag = "gateway.previous_unclean_exit"

type uncleanExitsFact struct {
	read.Outcome
	Count     int          `json:"count" about:"number of lines with the tag gateway.previous_unclean_exit"`
	TimesUnix []int64      `json:"times_unix" about:"when they were noticed, the last 40 at most, in the order of the log" of:"seconds since 1970"`
	Last      *uncleanExit `json:"last,omitempty" about:"the last line; absent without any"`
}

type uncleanExit struct {
	TimeUnix         *int64  `json:"time_unix,omitempty" about:"ts in seconds since 1970"`
	SuspectedOOM     *bool   `json:"suspected_oom,omitempty" about:"suspected_oom: the gateway probably ran out of memory"`
	StateDBIntegrity *string `json:"state_db_integrity,omitempty" about:"state_db_integrity: result of the check of state.db"`
}

func uncleanExits(dir policy.Directory) uncleanExitsFact {
	data, out := read.Tail(dir, "logs/gateway-exit-diag.log", read.MaxTail)
	if out.Status != "" {
		return uncleanExitsFact{Outcome: out, TimesUnix: []int64{}}
	}
	return parseUncleanExits(data)
}

// parseUncleanExits parses JSON lines. It skips other lines, which a process leaves that dies
// while it writes.
func parseUncleanExits(data []byte) uncleanExitsFact {
	f := uncleanExitsFact{Outcome: read.Recorded, TimesUnix: []int64{}}
	if len(bytes.TrimSpace(data)) == 0 {
		f.Status = policy.StatusEmpty
	}
	for line := range bytes.Lines(data) {
		if !bytes.Contains(line, []byte(uncleanTag)) {
			continue
		}
		keys, out := read.ParseObject(line)
		if tag := keys.Text("tag", 64); out.Status != policy.StatusRecorded || tag == nil || *tag != uncleanTag {
			continue
		}
		f.Count++
		f.Last = &uncleanExit{
			TimeUnix:         keys.Moment("ts"),
			SuspectedOOM:     keys.Bool("suspected_oom"),
			StateDBIntegrity: keys.Text("state_db_integrity", maxWord),
		}
		if f.Last.TimeUnix != nil {
			f.TimesUnix = append(f.TimesUnix, *f.Last.TimeUnix)
		}
	}
	f.TimesUnix = f.TimesUnix[max(0, len(f.TimesUnix)-maxTimes):]
	return f
}
