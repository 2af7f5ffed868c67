package policy

// The files of a profile that more than one package knows, relative to its directory.
const (
	// StateFile is where a gateway and its operator record what should run.
	StateFile = "gateway_state.json"
	// GatewayLock is locked by a gateway as long as it lives.
	GatewayLock = "gateway.lock"
	// PlannedStopFile tells a gateway that the signal it gets is an operator's stop.
	PlannedStopFile = ".gateway-planned-stop.json"
	// RestartHoldFile holds a RestartHold. It is on the volume, so that the hold
	// outlives the container.
	RestartHoldFile = "state/reconcile.hold.json"
	// LeaseFile says in the home which container owns the volume.
	LeaseFile = "state/reconcile.owner.json"
	// LeaseMemoryFile says in run_dir what the watch remembers of it.
	LeaseMemoryFile = "lease.json"
)

// SweepableFiles returns the only files that are ever swept: a gateway leaves them
// behind, and they name processes of its PID namespace.
func SweepableFiles() []string {
	return []string{"gateway.pid", "processes.json", ".gateway-takeover.json", PlannedStopFile}
}

var tokenLock = Pattern(`^([^/]+/)*[a-z0-9_-]+-[0-9a-f]{16}\.lock$`)

// IsTokenLock reports whether a path below the home has the form of a token lock:
// <scope>-<fingerprint>.lock. A gateway leaves its locks behind as it leaves SweepableFiles,
// but all profiles share one directory for them.
func IsTokenLock(path string) bool { return tokenLock().MatchString(path) }

// HoldFiles returns the files whose change ends a RestartHold: an operator edits them to
// repair a gateway that cannot live.
func HoldFiles() []string { return []string{".env", "config.yaml"} }
