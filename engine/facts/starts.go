package facts

import (
	"encoding/json"
	"strconv"
	"strings"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

const maxTimes = 40

type startsFact struct {
	read.Outcome
	Count        int     `json:"count" about:"number of times in times_unix"`
	LastUnix     *int64  `json:"last_unix,omitempty" about:"the last start; absent without any"`
	TimesUnix    []int64 `json:"times_unix" about:"the last 40 starts at most, in the order of the log" of:"seconds since 1970"`
	ChainedBoots int     `json:"chained_boots" about:"number of boots in gateway/restart_loop.json: starts that interrupted a session, one soon after the other"`
	ChainStatus  string  `json:"chain_status" about:"how reading gateway/restart_loop.json went" words:"status"`
}

func starts(dir policy.Directory) startsFact {
	f := startsFact{TimesUnix: []int64{}}
	data, out := read.Tail(dir, "gateway-starts.log", 4096)
	f.Outcome = out
	if out.Status == "" {
		f.Outcome, f.TimesUnix = parseStarts(data)
	}
	f.Count = len(f.TimesUnix)
	if f.Count > 0 {
		f.LastUnix = &f.TimesUnix[f.Count-1]
	}
	f.ChainedBoots, f.ChainStatus = chainedBoots(read.JSON(dir, "gateway/restart_loop.json", read.MaxState))
	return f
}

// parseStarts parses one number of seconds a line and skips other lines. A file without any
// number is invalid.
func parseStarts(data []byte) (read.Outcome, []int64) {
	times := []int64{}
	lines := 0
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		lines++
		seconds, err := strconv.ParseFloat(line, 64)
		if t, ok := read.WholeSeconds(seconds); ok && err == nil {
			times = append(times, t)
		}
	}
	switch {
	case lines == 0:
		return read.Outcome{Status: policy.StatusEmpty}, times
	case len(times) == 0:
		return read.Invalid("no line is a time"), times
	}
	return read.Recorded, times[max(0, len(times)-maxTimes):]
}

func chainedBoots(keys read.Object, out read.Outcome) (int, string) {
	boots := read.Value[[]json.RawMessage](&keys, "boots")
	if boots == nil {
		return 0, out.Status
	}
	return len(*boots), out.Status
}
