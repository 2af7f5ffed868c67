package facts

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"hermes-reconcile/policy"
)

// maxOutput is how much a plug-in may print.
const maxOutput = 1 << 20

var errTooMuchOutput = errors.New("too much output")

// execute runs a plug-in. What was checked is what is run: the file is opened
// once and executed through its descriptor. It has a process group of its own,
// which is killed when the time is up, and whatever it leaves running is killed
// when it ends.
func (c Config) execute(ctx context.Context, path string, question []byte) answer {
	f, out := c.openProgram(path)
	if out.Status != "" {
		return answer{pluginFact: pluginFact{outcome: out}}
	}
	defer f.Close()

	ctx, cancel := context.WithTimeout(ctx, c.ExternalTimeout)
	defer cancel()
	var stdout limitedBuffer
	var stderr counter
	cmd := exec.CommandContext(ctx, "/proc/self/fd/3")
	cmd.Args = []string{path}
	cmd.ExtraFiles = []*os.File{f} // its descriptor is 3; scripts need it open
	cmd.Env = c.pluginEnvironment()
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(question)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 100 * time.Millisecond // for what it started and left with its output
	err := cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}

	a := answer{}
	switch out := outcomeOfRun(ctx, err, cmd.ProcessState, stdout.full); {
	case out.Status != "":
		a.outcome = out
	case len(bytes.TrimSpace(stdout.text)) == 0:
		a.outcome = invalid("it printed nothing, want a JSON object")
	default:
		a = parseAnswer(stdout.text)
	}
	a.StderrBytes = int64(stderr)
	return a
}

func outcomeOfRun(ctx context.Context, err error, state *os.ProcessState, full bool) outcome {
	_, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case full:
		return invalid("it printed more than %d bytes", maxOutput)
	case err != nil && ctx.Err() != nil:
		return outcome{policy.StatusTimedOut, "it took too long and was killed"}
	case ended:
		return outcome{policy.StatusFailed, "it ended with " + state.String()}
	case errors.Is(err, exec.ErrWaitDelay):
		return outcome{} // it left something running that holds its output
	case err != nil:
		return outcome{policy.StatusFailed, "it could not be run: " + reason(err)}
	}
	return outcome{}
}

// pluginEnvironment is all that a plug-in sees of the environment: the rest
// holds secrets.
func (c Config) pluginEnvironment() []string {
	env := []string{"HERMES_HOME=" + c.Home}
	path, lang := "PATH=/command:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"
	for _, pair := range c.Environ {
		switch {
		case strings.HasPrefix(pair, "PATH="):
			path = pair
		case strings.HasPrefix(pair, "LANG="):
			lang = pair
		}
	}
	return append(env, path, lang)
}

// openProgram opens a file that may be executed.
func (c Config) openProgram(path string) (*os.File, outcome) {
	f, info, out := openTrusted(path, c.trusted())
	if out.Status == "" && info.Mode()&0o111 == 0 {
		f.Close()
		return nil, outcome{policy.StatusUnreadable, "neither .json nor .yaml nor executable"}
	}
	return f, out
}

// trusted is who may own a plug-in, besides root.
func (c Config) trusted() int {
	if c.OnlyRoot {
		return 0
	}
	return os.Geteuid()
}

// openTrusted opens a regular file that may be believed: it, its folder and all
// folders above are owned by root or by the trusted user and cannot be written by
// others. A folder above may be open to all if it is sticky, like /tmp: nobody can
// replace in it what is not theirs.
func openTrusted(path string, trusted int) (*os.File, os.FileInfo, outcome) {
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err == nil {
		folder, err = filepath.Abs(folder)
	}
	if err != nil {
		return nil, nil, outcomeOf(err)
	}
	for above := folder; ; above = filepath.Dir(above) {
		info, err := os.Lstat(above)
		if err != nil {
			return nil, nil, outcomeOf(err)
		}
		if problem := distrust(info, trusted, above != folder); problem != "" {
			return nil, nil, outcome{policy.StatusUnreadable, "a folder above it " + problem}
		}
		if above == filepath.Dir(above) {
			break
		}
	}
	f, err := os.OpenFile(filepath.Join(folder, filepath.Base(path)), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) {
		return nil, nil, outcomeOf(policy.ErrNotRegular)
	}
	if err != nil {
		return nil, nil, outcomeOf(err)
	}
	info, out := checkTrusted(f, trusted)
	if out.Status != "" {
		f.Close()
		return nil, nil, out
	}
	return f, info, outcome{}
}

func checkTrusted(f *os.File, trusted int) (os.FileInfo, outcome) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, outcomeOf(err)
	case !info.Mode().IsRegular():
		return nil, outcomeOf(policy.ErrNotRegular)
	}
	if problem := distrust(info, trusted, false); problem != "" {
		return nil, outcome{policy.StatusUnreadable, "it " + problem}
	}
	return info, outcome{}
}

// distrust says why somebody else than root and the trusted user could have
// written, or replaced, what info describes.
func distrust(info os.FileInfo, trusted int, stickyIsEnough bool) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || (st.Uid != 0 && int(st.Uid) != trusted):
		return notTrusted(trusted)
	case st.Mode&0o022 != 0 && !(stickyIsEnough && st.Mode&syscall.S_ISVTX != 0):
		return "can be written by others than its owner"
	}
	return ""
}

func notTrusted(trusted int) string {
	if trusted == 0 {
		return "is not owned by root"
	}
	return "is owned neither by root nor by the caller"
}

// A limitedBuffer keeps up to maxOutput bytes; more is an error for the writer.
type limitedBuffer struct {
	text []byte
	full bool
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if len(b.text)+len(p) > maxOutput {
		b.full = true
		return 0, errTooMuchOutput
	}
	b.text = append(b.text, p...)
	return len(p), nil
}

// A counter counts what is written to it and keeps nothing: it may be secret.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
