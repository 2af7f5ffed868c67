package remote

import "os"

// Command is the only argument of a process that serves the volume.
const Command = "volume"

// A process is the child, and this end of its pipes.
type process struct {
	*os.Process
	stdin  *os.File
	stdout *os.File
}

// startProcess starts this program again as the child.
func startProcess() (*process, error) {
	// Go's poller starts with the first file that is opened, and ends the program when
	// it gets no descriptors. With the poller running, a pipe without descriptors is an
	// error.
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
	// /proc/self/exe is this very file. Its path may name another file by now.
	child, err := os.StartProcess("/proc/self/exe", []string{os.Args[0], Command}, &os.ProcAttr{
		Dir: "/", Files: []*os.File{theirStdin, theirStdout, os.Stderr},
	})
	if err != nil {
		stdin.Close()
		stdout.Close()
		return nil, err
	}
	go child.Wait() // reaps the child; nobody waits for one that hangs
	return &process{child, stdin, stdout}, nil
}

// close kills the child and does not wait for it.
func (p *process) close() {
	p.stdin.Close()
	p.stdout.Close()
	p.Kill()
}
