package facts

import (
	"bytes"
	"context"

	"hermes-reconcile/policy"
)

// uncleanTag marks the lines that matter; upstream's gateway writes one when it
// finds that the gateway before it did not end by itself.
const uncleanTag = "gateway.previous_unclean_exit"

type uncleanExitsFact struct {
	outcome
	Count     int          `json:"count"`
	TimesUnix []int64      `json:"times_unix"`
	Last      *uncleanExit `json:"last,omitempty"`
}

type uncleanExit struct {
	TimeUnix         *int64  `json:"time_unix,omitempty"`
	SuspectedOOM     *bool   `json:"suspected_oom,omitempty"`
	StateDBIntegrity *string `json:"state_db_integrity,omitempty"`
}

// uncleanExits are recent deaths of the gateway that nobody wrote down at the
// time.
func uncleanExits() ProfileSource {
	return ProfileSource{"unclean_exits", uncleanExitsSchema, func(_ context.Context, dir policy.Directory) (any, error) {
		data, out := readTail(dir, "logs/gateway-exit-diag.log", maxTail)
		if out.Status != "" {
			return uncleanExitsFact{outcome: out, TimesUnix: []int64{}}, nil
		}
		return parseUncleanExits(data), nil
	}}
}

func uncleanExitsSchema() string {
	return fact(byAgent, "deaths of the gateway without a word, from the last 64 KiB of logs/gateway-exit-diag.log", properties{
		"count":      integer("lines with the tag gateway.previous_unclean_exit there"),
		"times_unix": list("when they were noticed, the last 40 at most, in the order of the log", integer("seconds since 1970")),
		"last": object("the last of them; absent without any", properties{
			"time_unix":          integer("ts in seconds since 1970"),
			"suspected_oom":      boolean("suspected_oom: it probably ran out of memory"),
			"state_db_integrity": text("state_db_integrity: result of the check of state.db"),
		}),
	})
}

// parseUncleanExits reads JSON lines. A line that is none is passed over: the
// log is appended to by a process that may die at it.
func parseUncleanExits(data []byte) uncleanExitsFact {
	f := uncleanExitsFact{outcome: recorded, TimesUnix: []int64{}}
	if len(bytes.TrimSpace(data)) == 0 {
		f.Status = policy.StatusEmpty
	}
	for line := range bytes.Lines(data) {
		if !bytes.Contains(line, []byte(uncleanTag)) {
			continue
		}
		keys, out := parseObject(line)
		if tag := keys.text("tag", 64); out.Status != policy.StatusRecorded || tag == nil || *tag != uncleanTag {
			continue
		}
		f.Count++
		f.Last = &uncleanExit{
			TimeUnix:         keys.moment("ts"),
			SuspectedOOM:     keys.boolean("suspected_oom"),
			StateDBIntegrity: keys.text("state_db_integrity", maxWord),
		}
		if f.Last.TimeUnix != nil {
			f.TimesUnix = append(f.TimesUnix, *f.Last.TimeUnix)
		}
	}
	f.TimesUnix = f.TimesUnix[max(0, len(f.TimesUnix)-maxTimes):]
	return f
}
