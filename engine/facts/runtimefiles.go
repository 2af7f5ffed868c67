package facts

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"path"
	"strconv"
	"strings"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type runtimeFilesFact struct {
	read.Outcome
	Files            map[string]runtimeFile `json:"files" about:"those of gateway.pid, processes.json, .gateway-takeover.json, .gateway-planned-stop.json and gateway.lock that exist, by name; and the locks of the profile's tokens, by their path below the home; the root profile has the token locks of gateways that are not known, too" of:"one file"`
	Lock             policy.Lock            `json:"lock" about:"gateway.lock"`
	TokenLocksStatus string                 `json:"token_locks_status" about:"how reading the directory of the token locks went: HERMES_GATEWAY_LOCK_DIR, else hermes/gateway-locks in XDG_STATE_HOME or in .local/state of the home; unreadable if it is outside of the home" words:"status"`
}

type runtimeFile struct {
	Status        string  `json:"status" about:"how reading it went; processes.json is not read" words:"status"`
	Error         string  `json:"error,omitempty" about:"what went wrong; never quotes what was read"`
	Kind          string  `json:"kind" about:"kind of file; a link is not followed" words:"file,directory,link,other"`
	Sweepable     bool    `json:"sweepable" about:"the file may be removed: it is neither a directory nor gateway.lock, no process holds gateway.lock of its profile, and the process that it names is not alive"`
	Identity      string  `json:"identity,omitempty" about:"opaque; differs when the file was replaced or written" by:"kernel"`
	PID           *int64  `json:"pid,omitempty" about:"the process that it names: pid, or target_pid of a marker"`
	PIDAlive      *bool   `json:"pid_alive,omitempty" about:"a process of this PID namespace has that pid and the recorded start time; absent without a pid" by:"kernel"`
	WrittenAtUnix *int64  `json:"written_at_unix,omitempty" about:"written_at of a marker, or updated_at of a token lock, in seconds since 1970"`
	AgeSeconds    *int64  `json:"age_seconds,omitempty" about:"seconds since then; absent when that is in the future"`
	Profile       *string `json:"profile,omitempty" about:"profile of the gateway that took a token lock, as it says"`
	Home          *string `json:"home,omitempty" about:"home of the gateway, as the file says: hermes_home, or target_hermes_home of a marker"`
	ReplacerHome  *string `json:"replacer_home,omitempty" about:"replacer_hermes_home of a takeover marker: home of the gateway that replaces it"`
	Scope         string  `json:"scope,omitempty" about:"what a token lock is for, such as telegram-bot-token; absent for other files"`
	Fingerprint   string  `json:"fingerprint,omitempty" about:"of the token that a token lock is for, as in tokens"`
}

const maxPath = 512

// runtimeFiles are the files that name a running gateway. They outlive the gateway. The lock is
// the best sign of life, because containers on one kernel see each other's locks but not each
// other's pids.
func (c Config) runtimeFiles(dir policy.Directory) runtimeFilesFact {
	f := runtimeFilesFact{Outcome: read.Recorded, Files: map[string]runtimeFile{}, Lock: probeGatewayLock(dir, ".")}
	if f.Lock.Status != policy.StatusMissing {
		if info, err := dir.Lstat(policy.GatewayLock); err == nil {
			f.Files[policy.GatewayLock], _ = c.describeRuntimeFile(dir, policy.GatewayLock, info)
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
		file, _ := c.describeRuntimeFile(dir, name, info)
		file.Sweepable = isSweepable(file, f.Lock)
		f.Files[name] = file
	}
	locks := c.tokenLocks()
	f.TokenLocksStatus = locks.status
	maps.Copy(f.Files, locks.of[dir.Profile().Dir])
	if dir.Profile().Dir == "." {
		maps.Copy(f.Files, locks.of[""])
	}
	return f
}

// isSweepable reports whether a file may be removed. lock is that of its gateway.
func isSweepable(file runtimeFile, lock policy.Lock) bool {
	alive := file.PIDAlive != nil && *file.PIDAlive
	return file.Kind != "directory" && !lock.Held && !alive && file.Identity != ""
}

// probeGatewayLock looks at the lock of a profile, which is a directory below dir. It reports a lock that cannot be probed as held, so that no file of a living
// gateway is removed.
func probeGatewayLock(dir policy.Directory, profile string) policy.Lock {
	held, err := dir.LockHeld(path.Join(profile, policy.GatewayLock))
	switch {
	case err == nil:
		return policy.Lock{Status: policy.StatusRecorded, Held: held}
	case errors.Is(err, fs.ErrNotExist):
		return policy.Lock{Status: policy.StatusMissing}
	}
	out := read.OutcomeOf(err)
	return policy.Lock{Status: out.Status, Error: out.Error, Held: true}
}

// describeRuntimeFile reads a runtime file, and returns its keys too. An empty file can be
// stale too.
func (c Config) describeRuntimeFile(dir policy.Directory, name string, info fs.FileInfo) (runtimeFile, read.Object) {
	file := runtimeFile{Status: policy.StatusRecorded, Kind: kindOf(info.Mode()), Identity: policy.Identity(info)}
	if name == "processes.json" {
		if !info.Mode().IsRegular() {
			file.Status, file.Error = policy.StatusUnreadable, read.OutcomeOf(policy.ErrNotRegular).Error
		}
		return file, read.Object{}
	}
	data, out := read.File(dir, name, read.MaxState)
	var keys read.Object
	if out.Status == "" {
		keys, out = parsePID(data)
	}
	file.Status, file.Error = out.Status, out.Error
	prefix, written := "target_", "written_at"
	if name == "gateway.pid" || strings.HasSuffix(name, ".lock") {
		prefix, written = "", "updated_at"
	}
	file.Profile, file.Home = keys.Text("profile", maxWord), keys.Text(prefix+"hermes_home", maxPath)
	file.ReplacerHome = keys.Text("replacer_hermes_home", maxPath)
	file.PID = keys.Integer(prefix + "pid")
	if file.PID != nil {
		file.PIDAlive = new(c.alive(*file.PID, keys.Integer(prefix+"start_time")))
	}
	file.WrittenAtUnix = keys.Moment(written)
	if file.WrittenAtUnix != nil {
		if age := c.Now().Unix() - *file.WrittenAtUnix; age >= 0 {
			file.AgeSeconds = &age
		}
	}
	return file, keys
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
