package facts

import (
	"encoding/json"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type runtimeFilesFact struct {
	read.Outcome
	Files map[string]runtimeFile `json:"files" about:"those of gateway.pid, processes.json, .gateway-takeover.json, .gateway-planned-stop.json and gateway.lock that exist, by name" of:"one file"`
	Lock  lockFact               `json:"lock" about:"gateway.lock"`
}

type runtimeFile struct {
	Status        string `json:"status" about:"how reading it went; only gateway.pid and the two markers are read" words:"status"`
	Error         string `json:"error,omitempty" about:"what went wrong; never quotes what was read"`
	Kind          string `json:"kind" about:"kind of file; a link is not followed" words:"file,directory,link,other"`
	Sweepable     bool   `json:"sweepable" about:"the file may be removed: it is neither a directory nor gateway.lock, no process holds gateway.lock, and the process that it names is not alive"`
	Identity      string `json:"identity,omitempty" about:"opaque; differs when the file was replaced or written" by:"kernel"`
	PID           *int64 `json:"pid,omitempty" about:"the process that it names: pid, or target_pid of a marker"`
	PIDAlive      *bool  `json:"pid_alive,omitempty" about:"a process of this PID namespace has that pid and the recorded start time; absent without a pid" by:"kernel"`
	WrittenAtUnix *int64 `json:"written_at_unix,omitempty" about:"written_at of a marker, in seconds since 1970"`
	AgeSeconds    *int64 `json:"age_seconds,omitempty" about:"seconds since written_at; absent when written_at is in the future"`
}

type lockFact struct {
	Status string `json:"status" about:"missing: no gateway ever ran; unreadable: not a regular file, or no permission" words:"status"`
	Error  string `json:"error,omitempty" about:"what went wrong"`
	Held   bool   `json:"held" about:"a process in any container on this kernel holds a lock on the file; true too when this is unknown" by:"kernel"`
}

// runtimeFiles are the files that name a running gateway. They outlive the gateway. The lock is
// the best sign of life, because containers on one kernel see each other's locks but not each
// other's pids.
func runtimeFiles(c Config) ProfileSource {
	return profileFact("runtime_files", byAgent, "files that name a running gateway", c.describeRuntimeFiles)
}

func (c Config) describeRuntimeFiles(dir policy.Directory) runtimeFilesFact {
	f := runtimeFilesFact{Outcome: read.Recorded, Files: map[string]runtimeFile{}, Lock: probeGatewayLock(dir)}
	if f.Lock.Status != policy.StatusMissing {
		if info, err := dir.Lstat(policy.GatewayLock); err == nil {
			f.Files[policy.GatewayLock] = runtimeFile{Status: f.Lock.Status, Identity: policy.Identity(info), Kind: kindOf(info.Mode())}
		}
	}
	for _, name := range policy.SweepableFiles() {
		info, err := dir.Lstat(name)
		if out := read.OutcomeOf(err); out.Status == policy.StatusMissing {
			continue
		} else if out.Status != "" {
			f.Outcome = out
			continue
		}
		file := c.describeRuntimeFile(dir, name, info)
		alive := file.PIDAlive != nil && *file.PIDAlive
		file.Sweepable = !info.IsDir() && !f.Lock.Held && !alive && file.Identity != ""
		f.Files[name] = file
	}
	return f
}

// probeGatewayLock reports a lock that cannot be probed as held, so that no file of a living
// gateway is removed.
func probeGatewayLock(dir policy.Directory) lockFact {
	held, err := dir.LockHeld(policy.GatewayLock)
	switch {
	case err == nil:
		return lockFact{Status: policy.StatusRecorded, Held: held}
	case errors.Is(err, fs.ErrNotExist):
		return lockFact{Status: policy.StatusMissing}
	}
	out := read.OutcomeOf(err)
	return lockFact{out.Status, out.Error, true}
}

// describeRuntimeFile reads a runtime file. An empty file can be stale too.
func (c Config) describeRuntimeFile(dir policy.Directory, name string, info fs.FileInfo) runtimeFile {
	file := runtimeFile{Status: policy.StatusRecorded, Kind: kindOf(info.Mode()), Identity: policy.Identity(info)}
	if name == "processes.json" {
		if !info.Mode().IsRegular() {
			file.Status, file.Error = policy.StatusUnreadable, read.OutcomeOf(policy.ErrNotRegular).Error
		}
		return file
	}
	data, out := read.File(dir, name, read.MaxState)
	var keys read.Object
	if out.Status == "" {
		keys, out = parsePID(data)
	}
	file.Status, file.Error = out.Status, out.Error
	prefix := ""
	if name != "gateway.pid" {
		prefix = "target_"
	}
	file.PID = keys.Integer(prefix + "pid")
	if file.PID != nil {
		file.PIDAlive = new(c.alive(*file.PID, keys.Integer(prefix+"start_time")))
	}
	file.WrittenAtUnix = keys.Moment("written_at")
	if file.WrittenAtUnix != nil {
		if age := c.Now().Unix() - *file.WrittenAtUnix; age >= 0 {
			file.AgeSeconds = &age
		}
	}
	return file
}

// parsePID parses an object, or a bare number as older gateways wrote it.
func parsePID(data []byte) (read.Object, read.Outcome) {
	bare := strings.TrimSpace(string(data))
	if pid, err := strconv.ParseInt(bare, 10, 32); err == nil && pid > 0 {
		return read.Object{Raw: map[string]json.RawMessage{"pid": json.RawMessage(strconv.FormatInt(pid, 10))}}, read.Recorded
	}
	return read.ParseObject(data)
}

// alive reports whether a process of this PID namespace has that pid and start
// time. Without a start time the answer is false: pids are reused, and low ones at every
// boot.
func (c Config) alive(pid int64, started *int64) bool {
	if pid <= 0 || started == nil || pid > 1<<30 {
		return false
	}
	p, err := c.Proc.Process(int(pid))
	return err == nil && p.Started == uint64(*started)
}
