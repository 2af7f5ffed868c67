package s6

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/scripts"
)

// manyProfiles returns decisions for n profiles, half of them started.
func manyProfiles(n int) policy.Decisions {
	d := policy.Decisions{Profiles: map[string]policy.Decision{}}
	for i := range n {
		action := policy.ActionStart
		if i%2 == 0 {
			action = policy.ActionDown
		}
		d.Profiles["profile-"+strconv.Itoa(100000+i)] = policy.Decision{Action: action, Reason: "the benchmark decides it"}
	}
	return d
}

func benchScanDir(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "s6-bench-")
	if err != nil {
		b.Skipf("needs a tmpfs at /dev/shm: %v", err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func benchExecutor(dir string) *Executor {
	return &Executor{
		ScanDir: dir, Root: os.Geteuid() == 0, User: trust.User{UID: hermesID, GID: hermesID}, Capacity: new(0),
		Settings: scripts.Settings{Home: "/opt/data", Command: []string{"hermes"}, Args: []string{"gateway", "run", "--replace"}},
	}
}

func BenchmarkPublish1000(b *testing.B) {
	base := benchScanDir(b)
	d := manyProfiles(1000)
	for i := 0; b.Loop(); i++ {
		e := benchExecutor(filepath.Join(base, strconv.Itoa(i)))
		if err := os.Mkdir(e.ScanDir, 0o755); err != nil { // as the lock does
			b.Fatal(err)
		}
		plan, err := e.Plan(context.Background(), d, policy.PlanOptions{})
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range e.Execute(context.Background(), plan.Operations, policy.ExecuteOptions{}) {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
		}
		b.StopTimer()
		if err := os.RemoveAll(e.ScanDir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkPlan1000New(b *testing.B) {
	e := benchExecutor(benchScanDir(b))
	d := manyProfiles(1000)
	for b.Loop() {
		if _, err := e.Plan(context.Background(), d, policy.PlanOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlan1000Unchanged(b *testing.B) {
	e := benchExecutor(benchScanDir(b))
	d := manyProfiles(1000)
	plan, err := e.Plan(context.Background(), d, policy.PlanOptions{})
	if err != nil {
		b.Fatal(err)
	}
	e.Execute(context.Background(), plan.Operations, policy.ExecuteOptions{})
	for b.Loop() {
		plan, err := e.Plan(context.Background(), d, policy.PlanOptions{})
		if err != nil || len(plan.Operations) > 0 {
			b.Fatal(len(plan.Operations), err)
		}
	}
}

// BenchmarkBare1000 is what BenchmarkPublish1000 is compared with. It makes the same
// directories and files one after the other, without a plan, a check or a rename.
func BenchmarkBare1000(b *testing.B) {
	base := benchScanDir(b)
	d := manyProfiles(1000)
	e := benchExecutor(base).withDefaults()
	render, err := e.newRenderer()
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		scan := filepath.Join(base, strconv.Itoa(i))
		for name, decision := range d.Profiles {
			bareSlot(b, filepath.Join(scan, policy.SlotName(name)), render, name, decision.Action == policy.ActionDown)
		}
		b.StopTimer()
		if err := os.RemoveAll(scan); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func bareSlot(b *testing.B, dir string, render *scripts.Renderer, name string, down bool) {
	b.Helper()
	files, err := render.Files(name, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	if down {
		files = append(files, scandir.DownFile)
	}
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	check(os.MkdirAll(dir, 0o755))
	check(os.Mkdir(filepath.Join(dir, "data"), 0o755))
	check(os.Mkdir(filepath.Join(dir, "log"), 0o755))
	for _, prefix := range []string{"", "log"} {
		control := filepath.Join(dir, prefix, "supervise/control")
		check(os.Mkdir(filepath.Join(dir, prefix, "supervise"), 0o711))
		check(unix.Mkfifo(control, controlMode))
		check(os.WriteFile(filepath.Join(dir, prefix, "supervise/lock"), nil, 0o600))
		check(os.Mkdir(filepath.Join(dir, prefix, "event"), 0o700))
		if os.Geteuid() == 0 {
			check(os.Chown(control, 0, hermesID))
		}
		check(unix.Chmod(control, controlMode))
	}
	for _, f := range files {
		check(os.WriteFile(filepath.Join(dir, f.Name), f.Content, os.FileMode(f.Mode)))
	}
}
