// Package launch is what a process does before most of it is initialised: it takes the
// memory that every run needs, and a boot starts the process for the volume, which
// needs as long as the boot itself to be ready.
//
// It imports little, because Go initialises a package as soon as what it imports is,
// among those that are ready in the order of their paths (Go specification, Package
// initialization).
package launch

import (
	"os"
	"syscall"
	"unsafe"
)

// Command is the argument by which a process knows that it is the one for the volume.
const Command = "volume"

// A Process is the process for the volume, and this end of its pipes.
type Process struct {
	*os.Process
	Stdin  *os.File
	Stdout *os.File
}

var early *Process

func init() {
	takeMemory()
	if len(os.Args) > 1 && os.Args[1] == "boot" && os.Geteuid() == 0 {
		// What goes wrong here is tried again, and told, by Start.
		early, _ = start()
	}
}

// Start starts the process, or takes the one that a boot has started before it knew its
// settings.
func Start() (*Process, error) {
	if p := early; p != nil {
		early = nil
		return p, nil
	}
	return start()
}

func start() (*Process, error) {
	// To open a file makes Go's poller, which ends the program where it gets no
	// descriptors; after that, a pipe that gets none is an error.
	program, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	defer program.Close()
	theirStdin, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirStdin.Close()
	stdout, theirStdout, err := os.Pipe()
	if err != nil {
		stdin.Close()
		return nil, err
	}
	defer theirStdout.Close()
	// By descriptor rather than by path, which may be another file by now.
	process, err := os.StartProcess("/proc/self/exe", []string{os.Args[0], Command}, &os.ProcAttr{
		Dir: "/", Files: []*os.File{theirStdin, theirStdout, os.Stderr},
	})
	if err != nil {
		stdin.Close()
		stdout.Close()
		return nil, err
	}
	go process.Wait() // only so that it leaves no zombie; a hung one is left behind
	return &Process{process, stdin, stdout}, nil
}

// Close ends the process without waiting for it.
func (p *Process) Close() {
	p.Stdin.Close()
	p.Stdout.Close()
	p.Kill()
}

// chunk is what the Go runtime adds to the heap at least, aligned to itself
// (pallocChunkBytes in runtime/mpagealloc.go).
const chunk = 4 << 20

// Advice of madvise(2) that package syscall does not have.
const (
	hugePages     = 14 // MADV_HUGEPAGE: 2 MiB at a time, also where nobody gets them unasked
	populateWrite = 23 // MADV_POPULATE_WRITE, Linux 5.14: now, and not one page fault after another
)

// takeMemory takes the first chunk of the heap, which a boot fills before it has decided
// anything. One page fault for each page costs a tenth of a boot with few profiles where
// page faults are dear, as in many virtual machines. A kernel that does not know an advice
// refuses it, and all is as it would be without.
func takeMemory() {
	heap := uintptr(unsafe.Pointer(new([1024]byte)))
	advise(heap&^(chunk-1), chunk, hugePages)
	advise(heap&^(chunk-1), chunk, populateWrite)
}

func advise(from, length, advice uintptr) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_MADVISE, from, length, advice)
}
