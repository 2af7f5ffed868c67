package supervise

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

// stat is /proc/PID/stat of a process with a name.
func stat(name string) string {
	return "77 (" + name + ") S 41 70 71 0 -1 4194304 100 0 0 0 1 2 3 4 20 0 1 0 987654 1 2\n"
}

// A process chooses its name, and thereby neither its parent nor its session.
func TestDecodeTask(t *testing.T) {
	t.Parallel()
	want := Task{PID: 77, Started: 987654, parent: 41, session: 71, state: "S"}
	for _, name := range []string{"sleep", "a b", "x) S 1 2 3", ") Z 1 1 1", "", "\n"} {
		if got, ok := decodeTask(77, stat(name)); !ok || got != want {
			t.Errorf("%q: got %+v, %v", name, got, ok)
		}
	}
	for _, text := range []string{"", ")", "77 (sleep) S 41 70 71", strings.Replace(stat("x"), ") S", ") Z", 1)} {
		if got, ok := decodeTask(77, text); ok {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

// The first variable of the name counts, as for getenv.
func TestSlotOf(t *testing.T) {
	t.Parallel()
	for environ, want := range map[string]string{
		"": "", "A=1\x00HERMES_S6_SLOT=/scan/gateway-a\x00B=2\x00": "/scan/gateway-a",
		"XHERMES_S6_SLOT=/x\x00": "", "HERMES_S6_SLOT=/a\x00HERMES_S6_SLOT=/b": "/a", "HERMES_S6_SLOT": "",
	} {
		if got := slotOf(environ); got != want {
			t.Errorf("%q: got %q, want %q", environ, got, want)
		}
	}
}

func FuzzTask(f *testing.F) {
	f.Add(stat("sleep"), "A=1\x00HERMES_S6_SLOT=/scan/gateway-a")
	f.Fuzz(func(t *testing.T, text, environ string) {
		if got, ok := decodeTask(77, text); ok && got.PID != 77 {
			t.Errorf("%q: %+v", text, got)
		}
		if got := slotOf(environ); strings.Contains(got, "\x00") || got != "" && !strings.Contains(environ, SlotVariable+"="+got) {
			t.Errorf("%q: %q", environ, got)
		}
	})
}

// Pids that mean process groups and all processes are never signalled.
func TestSignalTakesNoSpecialPID(t *testing.T) {
	t.Parallel()
	for _, pid := range []int{-1, 0, 1} {
		if err := (Task{PID: pid}).Signal(0); err == nil {
			t.Errorf("process %d was signalled", pid)
		}
	}
}

// A process is as old as its run.
func TestAge(t *testing.T) {
	t.Parallel()
	child := exec.Command("sleep", "10")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	time.Sleep(300 * time.Millisecond)
	if age := TaskOf(child.Process.Pid).Age(); age < 250*time.Millisecond || age > time.Minute {
		t.Errorf("it is %v old after 300 ms", age)
	}
}
