package s6

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/s6/s6test"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/scripts"
	"hermes-reconcile/s6/supervise"
)

// checkSchema fails the test when the value does not match the schema.
func checkSchema(t *testing.T, value any) {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(scandir.Schema))
	must(t, err)
	compiler := jsonschema.NewCompiler()
	must(t, compiler.AddResource("s6.json", document))
	compiled, err := compiler.Compile("s6.json")
	must(t, err)
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(asJSON(value)))
	must(t, err)
	if err := compiled.Validate(instance); err != nil {
		t.Errorf("schema: %v\n%s", err, asJSON(value))
	}
}

func TestSchemaDescribesEveryProperty(t *testing.T) {
	t.Parallel()
	var schema map[string]any
	must(t, json.Unmarshal([]byte(scandir.Schema), &schema))
	var walk func(path string, node map[string]any)
	walk = func(path string, node map[string]any) {
		writer, _ := node["x-written-by"].(string)
		if text, _ := node["description"].(string); text == "" || writer == "" {
			t.Errorf("%s: want a description and x-written-by", path)
		}
		properties, _ := node["properties"].(map[string]any)
		for name, child := range properties {
			walk(path+"."+name, child.(map[string]any))
		}
		for _, key := range []string{"additionalProperties", "items"} {
			if child, ok := node[key].(map[string]any); ok {
				walk(path+"[]", child)
			}
		}
	}
	walk("s6", schema)
}

func TestFactsOfOddScanDirectories(t *testing.T) {
	t.Parallel()
	t.Run("missing", func(t *testing.T) {
		w := newWorld(t)
		must(t, os.Remove(w.scan))
		f := w.facts()
		if f.Status != policy.StatusMissing || f.ScanDir.Status != policy.StatusMissing || f.Capacity.Gateways != 498 {
			t.Errorf("facts: %s", asJSON(f))
		}
		checkSchema(t, f)
	})
	t.Run("a file", func(t *testing.T) {
		w := newWorld(t)
		must(t, os.Remove(w.scan))
		must(t, os.WriteFile(w.scan, nil, 0o644))
		if f := w.facts(); f.Status != policy.StatusUnreadable {
			t.Errorf("facts: %s", asJSON(f))
		}
	})
	t.Run("odd entries", func(t *testing.T) {
		w := newWorld(t)
		w.apply(decide("coder=down"))
		must(t, unix.Mkfifo(w.slot("fifo"), 0o644))
		must(t, os.Symlink("/dev/zero", w.slot("link")))
		must(t, os.WriteFile(w.slot("file"), nil, 0o644))
		must(t, os.Mkdir(w.slot("esc\x1b\xff"), 0o755))
		// Every file of this slot is of another kind.
		must(t, os.MkdirAll(w.slot("trap", "supervise"), 0o755))
		must(t, os.Mkdir(w.slot("trap", "data"), 0o755))
		must(t, os.Symlink("/dev/zero", w.slot("trap", scripts.MarkerName)))
		must(t, os.Symlink("/dev/zero", w.slot("trap", "type")))
		must(t, unix.Mkfifo(w.slot("trap", superviseLock), 0o644))
		must(t, unix.Mkfifo(w.slot("trap", superviseStatus), 0o644))
		must(t, os.Symlink("/", w.slot("trap", "log")))
		// The files of this slot are giant.
		must(t, os.MkdirAll(w.slot("giant", "supervise"), 0o755))
		for _, name := range []string{"type", "run", superviseStatus, superviseLock} {
			must(t, os.WriteFile(w.slot("giant", name), nil, 0o644))
			must(t, os.Truncate(w.slot("giant", name), 50<<30))
		}
		f := w.facts()
		checkSchema(t, f)
		kinds := map[string]string{}
		for name, slot := range f.Slots {
			kinds[name] = slot.Kind + " " + slot.Status
			if slot.Ours != (name == "gateway-coder") || slot.Up {
				t.Errorf("%s: %s", name, asJSON(slot))
			}
		}
		want := map[string]string{
			"gateway-coder": "directory recorded", "gateway-fifo": "fifo invalid", "gateway-link": "link invalid",
			"gateway-file": "file invalid", `"gateway-esc\x1b\xff"`: "directory recorded",
			"gateway-trap": "directory unreadable", "gateway-giant": "directory recorded",
		}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("kinds (-want +got):\n%s", diff)
		}
		// The executor leaves all of them alone, too.
		d := decide("coder=down", "fifo=start", "link=start", "file=start", "trap=start", "giant=start")
		w.wantPlan(d, "")
		if got := len(w.last.Alarms); got != 5 {
			t.Errorf("alarms: %s", asJSON(w.last.Alarms))
		}
	})
	t.Run("a linked supervise", func(t *testing.T) {
		w := newWorld(t)
		w.apply(decide("coder=down"))
		must(t, os.Rename(w.slot("coder", "supervise"), filepath.Join(w.base, "elsewhere")))
		must(t, os.Symlink(filepath.Join(w.base, "elsewhere"), w.slot("coder", "supervise")))
		w.wantPlan(decide("coder=start"), "")
		if got := w.alarmCodes(); got != "slot_unreadable coder" {
			t.Errorf("alarms: %q", got)
		}
	})
}

// upStatus is a status file of a service that is up, as s6-supervise writes it.
func upStatus(pid int) []byte {
	data := make([]byte, 35)
	binary.BigEndian.PutUint64(data[0:8], 1<<62+37+1790000000)
	binary.BigEndian.PutUint64(data[24:32], uint64(pid))
	data[34] = 4
	return data
}

// The lock decides: a status file without a supervisor counts for nothing.
func TestStatusWithoutSupervisor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(decide("coder=down"))
	must(t, os.WriteFile(w.slot("coder", superviseStatus), upStatus(os.Getpid()), 0o644))
	if f := w.facts().Slots["gateway-coder"]; f.Up || *f.Supervised || f.PID != 0 {
		t.Errorf("facts: %s", asJSON(f))
	}
}

// A gateway that ended just now, before its supervisor saw it, has no exit code yet: the
// status still has the one of the run before.
func TestAnEndThatIsNotRecordedYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec.Command = []string{w.script("ends", "[ -e "+w.base+"/again ] && exec sleep 10000\nexit 7\n")}
	w.startSvscan()
	w.apply(decide("coder=start"))
	coder := func() policy.Slot { return w.facts().Slots["gateway-coder"] }
	w.until("coder has ended", func() bool { s := coder(); return s.ExitCode != nil && *s.ExitCode == 7 })
	must(t, os.WriteFile(w.base+"/again", nil, 0o644))
	gateway := w.untilUp("coder").PID
	slot, err := beneath.OpenDir(w.slot("coder"))
	must(t, err)
	defer slot.Close()
	_, supervisor, err := supervise.Service.Runs(slot)
	must(t, err)
	s6test.Signal(t, supervisor, unix.SIGSTOP)
	s6test.Signal(t, gateway, unix.SIGKILL)
	w.until("coder is dead", func() bool { return !coder().Up })
	if s := coder(); s.ExitCode != nil || s.Signal != 0 {
		t.Errorf("the end is told before it is recorded: %s", asJSON(s))
	}
	s6test.Signal(t, supervisor, unix.SIGCONT)
	w.until("its end is recorded", func() bool { return coder().Signal == int(unix.SIGKILL) })
}

func TestLiveFactsKeepTheSchema(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startSvscan(holding(30)...)
	w.apply(decide("coder=start", "writer=down"))
	w.untilUp("coder")
	f := w.facts()
	checkSchema(t, f)
	if f.Capacity != (policy.Capacity{Places: 60, Used: 4, Gateways: 28, Source: supervise.FromArguments}) {
		t.Errorf("capacity: %s", asJSON(f.Capacity))
	}
	if f.Slots["gateway-coder"].SinceUnix == 0 {
		t.Errorf("facts: %s", asJSON(f))
	}
}

// The unprivileged user sees the same facts, except those that need root.
func TestFactsAsUser(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	w.startSvscan()
	w.apply(decide("coder=start"))
	w.untilUp("coder")
	copied := w.testBinary()
	read := func() policy.Slots {
		out, err := w.asHermes("S6_TEST_SCANDIR=" + w.scan + " " + copied + " -test.run=^TestPrintFacts$ -test.v")
		must(t, err)
		_, text, _ := strings.Cut(out, "facts: ")
		var f policy.Slots
		must(t, json.NewDecoder(strings.NewReader(text)).Decode(&f))
		return f
	}
	f := read()
	coder := f.Slots["gateway-coder"]
	if !*coder.Supervised || !coder.Up || !coder.Ours || f.ScanDir.Writable {
		t.Errorf("facts: %s", asJSON(f))
	}
	if f.Running != nil {
		t.Errorf("a 0700 .s6-svscan hides s6-svscan, but running is %v", *f.Running)
	}
	must(t, os.Chmod(filepath.Join(w.scan, ".s6-svscan"), 0o755)) // as in s6-overlay
	if f := read(); f.Running != nil {
		t.Errorf("the FIFO may not be opened, but running is %v", *f.Running)
	}
	must(t, os.Chown(filepath.Join(w.scan, supervise.Svscan.Control), hermesID, hermesID))
	if f := read(); f.Running == nil || !*f.Running || f.Manager != "s6-svscan" {
		t.Errorf("facts: %s", asJSON(f))
	}
}

// TestPrintFacts is the process that TestFactsAsUser starts as another user.
func TestPrintFacts(t *testing.T) {
	dir := os.Getenv("S6_TEST_SCANDIR")
	if dir == "" {
		return // not started by TestFactsAsUser
	}
	f := (&Executor{ScanDir: dir}).Slots(t.Context())
	_, err := os.Stdout.WriteString("facts: " + asJSON(f) + "\n")
	must(t, err)
}
