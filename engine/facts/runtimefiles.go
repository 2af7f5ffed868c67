package facts

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"hermes-reconcile/policy"
)

type runtimeFilesFact struct {
	outcome
	Files map[string]runtimeFile `json:"files"`
	Lock  lockFact               `json:"lock"`
}

type runtimeFile struct {
	policy.RuntimeFile
	Error         string `json:"error,omitempty"`
	Kind          string `json:"kind"`
	PID           *int64 `json:"pid,omitempty"`
	PIDAlive      *bool  `json:"pid_alive,omitempty"`
	WrittenAtUnix *int64 `json:"written_at_unix,omitempty"`
	AgeSeconds    *int64 `json:"age_seconds,omitempty"`
}

type lockFact struct {
	outcome
	Held bool `json:"held"`
}

// runtimeFiles are the files that name a running gateway. They outlive it. The lock shows
// best whether it lives, because a lock is visible across the containers of one kernel and a
// pid is not.
func runtimeFiles(c Config) ProfileSource {
	return ProfileSource{"runtime_files", runtimeFilesSchema, func(_ context.Context, dir policy.Directory) (any, error) {
		return c.describeRuntimeFiles(dir), nil
	}}
}

func runtimeFilesSchema() string {
	return fact(byAgent, "files that name a running gateway", properties{
		"files": byName("those that are there of gateway.pid, processes.json, .gateway-takeover.json, .gateway-planned-stop.json, gateway.lock, by name", object("one file", properties{
			"status":          status("how reading it went; only gateway.pid and the two markers are read"),
			"error":           text("what went wrong; never quotes what was read"),
			"kind":            kinds("what it is; a link is not followed"),
			"sweepable":       boolean("it may be removed: not a directory, not gateway.lock, nobody holds gateway.lock, and the process that it names is not alive"),
			"identity":        text("opaque; differs when the file was replaced or written").from(byKernel),
			"pid":             integer("the process that it names: pid, or target_pid of a marker"),
			"pid_alive":       boolean("a process of this PID namespace has that pid and the recorded start time; absent without a pid").from(byKernel),
			"written_at_unix": integer("written_at of a marker, in seconds since 1970"),
			"age_seconds":     integer("seconds since then; absent when that is in the future"),
		})),
		"lock": object("gateway.lock", properties{
			"status": status("missing: no gateway ever ran; unreadable: not a regular file or not allowed"),
			"error":  text("what went wrong"),
			"held":   boolean("someone holds a lock on it, in any container on this kernel; true too where that cannot be known").from(byKernel),
		}),
	})
}

func (c Config) describeRuntimeFiles(dir policy.Directory) runtimeFilesFact {
	f := runtimeFilesFact{outcome: recorded, Files: map[string]runtimeFile{}, Lock: probeGatewayLock(dir)}
	if f.Lock.Status != policy.StatusMissing {
		if info, err := dir.Lstat(policy.GatewayLock); err == nil {
			f.Files[policy.GatewayLock] = runtimeFile{RuntimeFile: policy.RuntimeFile{Status: f.Lock.Status, Identity: identityOf(info)}, Kind: kindOf(info.Mode())}
		}
	}
	for _, name := range policy.SweepableFiles() {
		info, err := dir.Lstat(name)
		if out := outcomeOf(err); out.Status == policy.StatusMissing {
			continue
		} else if out.Status != "" {
			f.outcome = out
			continue
		}
		file := c.describeRuntimeFile(dir, name, info)
		alive := file.PIDAlive != nil && *file.PIDAlive
		file.Sweepable = !info.IsDir() && !f.Lock.Held && !alive && file.Identity != ""
		f.Files[name] = file
	}
	return f
}

// identityOf returns the identity of a file. Only the implementation of policy.Directory,
// which also removes the file, knows how to make one.
func identityOf(info fs.FileInfo) string {
	if known, ok := info.(interface{ Identity() string }); ok {
		return known.Identity()
	}
	return ""
}

// probeGatewayLock reports a lock that cannot be probed as held, so that no file of a living
// gateway is removed.
func probeGatewayLock(dir policy.Directory) lockFact {
	prober, ok := dir.(interface {
		LockHeld(name string) (bool, error)
	})
	if !ok {
		return lockFact{outcome{policy.StatusUnreadable, "locks cannot be seen here"}, true}
	}
	held, err := prober.LockHeld(policy.GatewayLock)
	switch {
	case err == nil:
		return lockFact{recorded, held}
	case errors.Is(err, fs.ErrNotExist):
		return lockFact{outcome{Status: policy.StatusMissing}, false}
	}
	return lockFact{outcomeOf(err), true}
}

// describeRuntimeFile reads a runtime file. An empty file can be stale too.
func (c Config) describeRuntimeFile(dir policy.Directory, name string, info fs.FileInfo) runtimeFile {
	file := runtimeFile{Kind: kindOf(info.Mode())}
	file.Status, file.Identity = policy.StatusRecorded, identityOf(info)
	if name == "processes.json" {
		if !info.Mode().IsRegular() {
			file.Status, file.Error = policy.StatusUnreadable, outcomeOf(policy.ErrNotRegular).Error
		}
		return file
	}
	data, out := readFile(dir, name, maxState)
	var keys fields
	if out.Status == "" {
		keys, out = parsePID(data)
	}
	file.Status, file.Error = out.Status, out.Error
	prefix := ""
	if name != "gateway.pid" {
		prefix = "target_"
	}
	file.PID = keys.integer(prefix + "pid")
	if file.PID != nil {
		alive := c.alive(*file.PID, keys.integer(prefix+"start_time"))
		file.PIDAlive = &alive
	}
	file.WrittenAtUnix = keys.moment("written_at")
	if file.WrittenAtUnix != nil {
		if age := c.Now().Unix() - *file.WrittenAtUnix; age >= 0 {
			file.AgeSeconds = &age
		}
	}
	return file
}

// parsePID reads an object, or a bare number as older gateways wrote it.
func parsePID(data []byte) (fields, outcome) {
	bare := strings.TrimSpace(string(data))
	if pid, err := strconv.ParseInt(bare, 10, 32); err == nil && pid > 0 {
		return fields{raw: map[string]json.RawMessage{"pid": json.RawMessage(strconv.FormatInt(pid, 10))}}, recorded
	}
	return parseObject(data)
}

// alive reports whether a process of this PID namespace has that pid and start
// time. Without a start time the answer is false: pids are reused, and low ones at every
// boot.
func (c Config) alive(pid int64, started *int64) bool {
	if pid <= 0 || started == nil || pid > 1<<30 {
		return false
	}
	p, err := c.process(int(pid))
	return err == nil && p.started == uint64(*started)
}
