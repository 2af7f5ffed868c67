package remote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// hungVolume mounts a file system that answers nothing but its begin, until answer is called.
// A process that waits for it cannot be killed.
func hungVolume(t *testing.T) (dir string, asked *atomic.Int32, answer func()) {
	t.Helper()
	dir = t.TempDir()
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no FUSE here: %v", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fuse)
	if err := unix.Mount("none", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		_ = unix.Close(fuse)
		t.Skipf("cannot mount here: %v", err)
	}
	// The end of the connection answers with an error.
	answer = func() { _ = unix.Unmount(dir, unix.MNT_FORCE) } // EBUSY, when it has ended it
	t.Cleanup(func() {
		answer()
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		_ = unix.Close(fuse)
	})
	begin := make([]byte, 1<<17)
	for _, err = unix.Read(fuse, begin); errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN); {
		_, err = unix.Read(fuse, begin)
	}
	if err != nil {
		t.Fatal(err)
	}
	// The header is: length, error, the number of the request. Then the version follows.
	reply := make([]byte, 16+64)
	binary.NativeEndian.PutUint32(reply, uint32(len(reply)))
	copy(reply[8:16], begin[8:16])
	binary.NativeEndian.PutUint32(reply[16:], 7)
	binary.NativeEndian.PutUint32(reply[20:], 31)
	binary.NativeEndian.PutUint32(reply[36:], 4096) // the longest write
	if _, err := unix.Write(fuse, reply); err != nil {
		t.Fatal(err)
	}
	// Requests that were read wait for their answers, and no signal ends them.
	asked = new(atomic.Int32)
	go func() {
		for {
			if _, err := unix.Read(fuse, make([]byte, 1<<17)); err != nil {
				return
			}
			asked.Add(1)
		}
	}()
	return dir, asked, answer
}

func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// The processes that wait for a volume which hangs cannot be ended. They do not become more and
// more, and when the volume answers all is well again.
func TestProcessesThatHang(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts a file system")
	}
	dir, asked, answer := hungVolume(t)
	s := Settings{Home: filepath.Join(dir, "home"), Phase: policy.PhaseApply, Timeout: time.Millisecond, SourceTimeout: time.Millisecond}
	started := 0
	var err error
	for range 3 * maxLiving {
		var v *Child
		before := asked.Load()
		if v, err = Start(s); err != nil {
			break
		}
		started++
		until(t, "the process waits for the volume, or for one that does", func() bool {
			threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", processOf(v).PID))
			return asked.Load() > before || slices.ContainsFunc(threads, func(thread string) bool {
				stat, _ := os.ReadFile(thread) // it may be gone
				return strings.Contains(string(stat), ") D ")
			})
		})
		v.Close()
	}
	if started < maxLiving || started > 2*maxLiving || !errors.Is(err, errLate) || !strings.Contains(err.Error(), "cannot be ended") {
		t.Errorf("%d processes, %v, want about %d and an error", started, err, maxLiving)
	}
	answer()
	until(t, "all of them have ended", func() bool { return living.Load() == 0 })
	if v, err := Start(s); err != nil {
		t.Errorf("when the volume answers: %v", err)
	} else {
		v.Close()
	}
}
