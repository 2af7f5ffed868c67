// Package child starts this program again as a child process and speaks with it over its
// standard input and output. It knows nothing of what is said.
package child

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Process is a child, and this end of its pipes: Write writes to its standard input,
// Read reads its standard output.
type Process struct {
	PID    int // another process may have it after the end of the child
	mutex  sync.Mutex
	gone   bool // and its PID may be another process's
	stdin  *os.File
	stdout *os.File
	ended  chan struct{} // closed at the end of the child, when the rest is set
	status unix.WaitStatus
	usage  unix.Rusage
	known  bool // how it ended
}

func (p *Process) Write(text []byte) (int, error) { return p.stdin.Write(text) }
func (p *Process) Read(text []byte) (int, error)  { return p.stdout.Read(text) }

// Close kills the child and does not wait for it.
func (p *Process) Close() error {
	p.stdin.Close()
	p.stdout.Close()
	return p.Kill()
}

// Kill ends the child. It is safe at any time.
func (p *Process) Kill() error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.gone {
		return os.ErrProcessDone
	}
	return unix.Kill(p.PID, unix.SIGKILL)
}

// Wait waits for the end of the child and returns how it ended, if that is known, and what
// it used.
func (p *Process) Wait() (status unix.WaitStatus, usage unix.Rusage, known bool) {
	<-p.ended
	return p.status, p.usage, p.known
}

// Start starts this program again with a command as its only argument.
func Start(command string, stderr *os.File) (*Process, error) {
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
	// /proc/self/exe is the file that runs. Its path may name another file by now. The first
	// call of os.StartProcess would start one process more, to see whether the kernel has
	// descriptors of processes.
	pid, err := syscall.ForkExec("/proc/self/exe", []string{os.Args[0], command}, &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: []uintptr{theirStdin.Fd(), theirStdout.Fd(), stderr.Fd()},
	})
	if err != nil {
		stdin.Close()
		stdout.Close()
		return nil, err
	}
	p := &Process{PID: pid, stdin: stdin, stdout: stdout, ended: make(chan struct{})}
	go p.reap()
	return p, nil
}

// reap waits for the child, however late it ends. A child under the agent's user can be
// stopped by the agent, and its parent would wait for nothing: a child that is stopped is
// killed.
func (p *Process) reap() {
	defer close(p.ended)
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(p.PID, &status, unix.WUNTRACED, &p.usage)
		switch {
		case err == unix.EINTR:
		case err == nil && status.Stopped():
			_ = p.Kill()
		default:
			p.status, p.known = status, err == nil
			p.mutex.Lock()
			defer p.mutex.Unlock()
			p.gone = true
			return
		}
	}
}
