package facts

import (
	"context"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"hermes-reconcile/policy"
)

// maxTimes is how many times of a log are kept.
const maxTimes = 40

type startsFact struct {
	outcome
	Count        int     `json:"count"`
	LastUnix     *int64  `json:"last_unix,omitempty"`
	TimesUnix    []int64 `json:"times_unix"`
	ChainedBoots int     `json:"chained_boots"`
	ChainStatus  string  `json:"chain_status"`
}

// starts are when the profile's gateway was started lately.
func starts() ProfileSource {
	return ProfileSource{"starts", startsSchema, func(_ context.Context, dir policy.Directory) (any, error) {
		f := startsFact{TimesUnix: []int64{}}
		data, out := readTail(dir, "gateway-starts.log", 4096)
		f.outcome = out
		if out.Status == "" {
			f.outcome, f.TimesUnix = parseStarts(data)
		}
		f.Count = len(f.TimesUnix)
		if f.Count > 0 {
			f.LastUnix = &f.TimesUnix[f.Count-1]
		}
		f.ChainedBoots, f.ChainStatus = chainedBoots(readObject(dir, "gateway/restart_loop.json", maxState))
		return f, nil
	}}
}

func startsSchema() string {
	return fact(byAgent, "recent starts of the gateway, from gateway-starts.log", properties{
		"count":         integer("how many are in times_unix"),
		"last_unix":     integer("the last one; absent without any"),
		"times_unix":    list("the last 40 at most, in the order of the log", integer("seconds since 1970")),
		"chained_boots": integer("number of boots in gateway/restart_loop.json: starts that interrupted a session, one soon after the other"),
		"chain_status":  status("how reading gateway/restart_loop.json went"),
	})
}

// parseStarts reads one number of seconds a line. Lines that are none are passed
// over; a file of nothing else is invalid.
func parseStarts(data []byte) (outcome, []int64) {
	times := []int64{}
	lines := 0
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		lines++
		seconds, err := strconv.ParseFloat(line, 64)
		if err != nil || math.IsInf(seconds, 0) {
			continue
		}
		if t, ok := wholeSeconds(seconds); ok {
			times = append(times, t)
		}
	}
	switch {
	case lines == 0:
		return outcome{Status: policy.StatusEmpty}, times
	case len(times) == 0:
		return invalid("no line is a time"), times
	}
	return recorded, times[max(0, len(times)-maxTimes):]
}

func chainedBoots(keys fields, out outcome) (int, string) {
	boots := value[[]json.RawMessage](&keys, "boots")
	if boots == nil {
		return 0, out.Status
	}
	return len(*boots), out.Status
}
