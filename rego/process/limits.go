package process

import (
	"fmt"
	"os"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

// reserve is what the child may have beside the memory of the rules. Go takes addresses from
// the kernel in pieces of 64 MiB, and the collector needs some of its own.
const reserve = 128 << 20

// confine takes from this process what rules do not need: nobody traces it, it gains no
// privileges, it ends with its parent, and the kernel ends it first when memory is short.
func confine(parent int) error {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_, _, _ = syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
	if os.Getppid() != parent {
		return fmt.Errorf("the parent %d is gone", parent)
	}
	return nil
}

// allow lets this process take so many bytes more than it has now, and the reserve. The
// kernel refuses what is beyond, and then the Go runtime ends the process. The collector
// keeps below it as far as it can.
//
// The limit is RLIMIT_AS, although Go reserves far more addresses at its start than it uses:
// the kernel does not check RLIMIT_DATA where a process uses what it has reserved, and Go
// reserves before it uses.
func allow(more int64) error {
	addresses, data, err := sizes()
	if err != nil {
		return err
	}
	debug.SetMemoryLimit(data + more)
	limit := unix.Rlimit{}
	if err := unix.Getrlimit(unix.RLIMIT_AS, &limit); err != nil {
		return err
	}
	limit.Cur = min(uint64(addresses+more+reserve), limit.Max)
	return unix.Setrlimit(unix.RLIMIT_AS, &limit)
}

// sizes returns how many bytes of addresses this process has, and how many of them are
// private and can be written.
func sizes() (addresses, data int64, err error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0, err
	}
	var resident, shared, code, unused int64
	_, err = fmt.Sscan(string(text), &addresses, &resident, &shared, &code, &unused, &data)
	if err != nil {
		return 0, 0, fmt.Errorf("/proc/self/statm is %q: %w", text, err)
	}
	page := int64(os.Getpagesize())
	return addresses * page, data * page, nil
}
