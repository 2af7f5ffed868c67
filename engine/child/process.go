// Package child starts this program again as a child process and speaks with it over its
// standard input and output. It knows nothing of what is said.
package child

import (
	"os"

	"golang.org/x/sys/unix"
)

// A Process is a child, and this end of its pipes: Write writes to its standard input,
// Read reads its standard output.
type Process struct {
	*os.Process
	stdin  *os.File
	stdout *os.File
}

func (p *Process) Write(text []byte) (int, error) { return p.stdin.Write(text) }
func (p *Process) Read(text []byte) (int, error)  { return p.stdout.Read(text) }

// Close kills the child and does not wait for it.
func (p *Process) Close() error {
	p.stdin.Close()
	p.stdout.Close()
	return p.Kill()
}

// Start starts this program again with a command as its only argument.
func Start(command string) (*Process, error) {
	// Go's poller starts with the first file that the program opens, and ends the program
	// when no descriptors are left. Once the poller runs, a pipe that gets no descriptors
	// is an error.
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
	// /proc/self/exe is the file that runs. Its path may name another file by now.
	started, err := os.StartProcess("/proc/self/exe", []string{os.Args[0], command}, &os.ProcAttr{
		Dir: "/", Files: []*os.File{theirStdin, theirStdout, os.Stderr},
	})
	if err != nil {
		stdin.Close()
		stdout.Close()
		return nil, err
	}
	go reap(started)
	return &Process{started, stdin, stdout}, nil
}

// reap waits for a child, however late it ends. A child under the agent's user can be
// stopped by the agent, and its parent would wait for nothing: a child that is stopped is
// killed.
func reap(child *os.Process) {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(child.Pid, &status, unix.WUNTRACED, nil)
		switch {
		case err == unix.EINTR:
		case err == nil && status.Stopped():
			_ = child.Kill()
		default:
			_ = child.Release() // its number may be another process's now
			return
		}
	}
}
