package remote

import "os"

// Command is the only argument of a child.
const Command = "volume"

// A process is the child, and this end of its pipes: Write writes to its standard input,
// Read reads its standard output.
type process struct {
	*os.Process
	stdin  *os.File
	stdout *os.File
}

func (p *process) Write(text []byte) (int, error) { return p.stdin.Write(text) }
func (p *process) Read(text []byte) (int, error)  { return p.stdout.Read(text) }

// Close kills the child and does not wait for it.
func (p *process) Close() error {
	p.stdin.Close()
	p.stdout.Close()
	return p.Kill()
}

// startProcess starts this program again as the child.
func startProcess() (*process, error) {
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
	child, err := os.StartProcess("/proc/self/exe", []string{os.Args[0], Command}, &os.ProcAttr{
		Dir: "/", Files: []*os.File{theirStdin, theirStdout, os.Stderr},
	})
	if err != nil {
		stdin.Close()
		stdout.Close()
		return nil, err
	}
	go child.Wait() // reaps the child, however late it ends
	return &process{child, stdin, stdout}, nil
}
