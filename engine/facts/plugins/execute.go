package plugins

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// maxOutput bounds what a plug-in may print, in bytes.
const maxOutput = 1 << 20

// execute runs a plug-in that is a program. The file is opened once, checked, and executed
// through its descriptor, so the checked file is the one that runs. The program has a session
// and so a process group of its own, which is killed when the program ends or its time is up.
func (c Config) execute(ctx context.Context, path string, question []byte) answer {
	f, out := c.openProgram(path)
	if out.Status != "" {
		return ended(out)
	}
	defer f.Close()

	var stdout limitedBuffer
	cmd := exec.CommandContext(ctx, "/proc/self/fd/3")
	cmd.Args = []string{path}
	cmd.ExtraFiles = []*os.File{f} // its descriptor is 3; scripts need it open
	// All that a plug-in sees of the environment: the container's has secrets, and its PATH
	// may lead to the agents' programs.
	cmd.Env = []string{"HERMES_HOME=" + c.Home, "LANG=C.UTF-8", "PATH=/command:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(question)
	cmd.Stdout = &stdout // what it writes to standard error may be secret, and is not kept
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if c.Users != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(c.Users.Plugins.UID), Gid: uint32(c.Users.Plugins.GID)}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = grace / 2 // for processes that it left with its output
	err := cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}

	out = outcomeOfRun(ctx, err, cmd.ProcessState, stdout.full)
	if out.Status == "" && len(bytes.TrimSpace(stdout.text)) == 0 {
		out = read.Invalid("it printed nothing, want a JSON object")
	}
	if out.Status != "" {
		return ended(out)
	}
	return parseAnswer(stdout.text)
}

func outcomeOfRun(ctx context.Context, err error, state *os.ProcessState, full bool) read.Outcome {
	_, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case full:
		return read.Invalid("it printed more than %d bytes", maxOutput)
	case err != nil && ctx.Err() != nil:
		return read.Outcome{Status: policy.StatusTimedOut, Error: "it took too long and was killed"}
	case ended:
		return read.Outcome{Status: policy.StatusFailed, Error: "it ended with " + state.String()}
	case err != nil && !errors.Is(err, exec.ErrWaitDelay): // ErrWaitDelay: it left a process with its output
		return read.Outcome{Status: policy.StatusFailed, Error: "it could not be run: " + read.Reason(err)}
	}
	return read.Outcome{}
}

// openProgram opens a file that may be executed.
func (c Config) openProgram(path string) (*os.File, read.Outcome) {
	owner := os.Geteuid()
	if c.Users != nil {
		owner = 0
		if c.Users.Err != nil {
			return nil, read.Outcome{Status: policy.StatusFailed, Error: c.Users.Err.Error()}
		}
	}
	f, info, err := read.OpenTrusted(path, owner)
	if err == nil && info.Mode()&0o111 == 0 {
		f.Close()
		return nil, read.Outcome{Status: policy.StatusUnreadable, Error: "neither .json nor .yaml nor executable"}
	}
	return f, read.OutcomeOf(err)
}

// A limitedBuffer keeps up to maxOutput bytes. A longer write fails.
type limitedBuffer struct {
	text []byte
	full bool
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if len(b.text)+len(p) > maxOutput {
		b.full = true
		return 0, errors.New("too much output")
	}
	b.text = append(b.text, p...)
	return len(p), nil
}
