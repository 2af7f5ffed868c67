package decisionlog

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// inTemp returns the path of a directory that only this user can write.
func inTemp(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

func numbered(from, to int) (events [][]byte) {
	for n := from; n < to; n++ {
		events = append(events, fmt.Appendf(nil, `{"decision_id":"%d"}`, n))
	}
	return events
}

// idsOf returns the decision ids of events.
func idsOf(t *testing.T, events []json.RawMessage) (ids []string) {
	t.Helper()
	for _, event := range events {
		var e struct {
			DecisionID string `json:"decision_id"`
		}
		if err := json.Unmarshal(event, &e); err != nil {
			t.Fatalf("%s: %v", event, err)
		}
		ids = append(ids, e.DecisionID)
	}
	return ids
}

// held returns the ids of all that waits, in order.
func held(t *testing.T, b Buffer) (ids []string) {
	t.Helper()
	all, err := b.waiting()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		events, err := b.read(one)
		if err != nil || len(events) != one.events {
			t.Fatalf("%d events, want %d: %v", len(events), one.events, err)
		}
		ids = append(ids, idsOf(t, events)...)
	}
	return ids
}

// A full buffer drops the oldest events and says how many. What is left is in order.
func TestBufferDropsTheOldest(t *testing.T) {
	t.Parallel()
	b := Buffer{inTemp(t, "decisions"), 2000}
	dropped := 0
	for n := range 20 {
		now, err := b.Append(numbered(10*n, 10*n+10))
		if err != nil {
			t.Fatal(err)
		}
		dropped += now
	}
	var want []string
	for n := dropped; n < 200; n++ {
		want = append(want, strconv.Itoa(n))
	}
	if ids := held(t, b); dropped == 0 || len(ids) < 50 || !slices.Equal(ids, want) {
		t.Errorf("%d dropped, and there are %v", dropped, ids)
	}
	if dropped, err := b.Append(numbered(0, 1000)); err != nil || dropped < 800 {
		t.Errorf("of a thousand at once it dropped %d, %v", dropped, err)
	}
	if ids := held(t, b); ids[len(ids)-1] != "999" {
		t.Errorf("the newest is gone: %v", ids)
	}
}

// Another user's directory is not written, and all events count as dropped.
func TestBufferOfAnotherUser(t *testing.T) {
	t.Parallel()
	dir := inTemp(t, "decisions")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if dropped, err := (Buffer{dir, 1 << 20}).Append(numbered(0, 3)); dropped != 3 || err == nil || !strings.Contains(err.Error(), "can be written by others") {
		t.Errorf("dropped %d, %v", dropped, err)
	}
}

// What a writer has reported outlives a kill at any time, in order and once.
func TestBufferOutlivesAKill(t *testing.T) {
	if dir := os.Getenv("DECISIONLOG_WRITE_TO"); dir != "" {
		b := Buffer{dir, 1 << 30}
		from, _ := strconv.Atoi(os.Getenv("DECISIONLOG_FROM"))
		for n := from; ; n += 40 {
			if _, err := b.Append(numbered(n, n+40)); err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println("wrote", n+40)
		}
	}
	t.Parallel()
	b := Buffer{inTemp(t, "decisions"), 1 << 30}
	next := 0
	for kill := range 12 {
		writer := exec.Command(os.Args[0], "-test.run", "^TestBufferOutlivesAKill$")
		writer.Env = append(os.Environ(), "DECISIONLOG_WRITE_TO="+b.Dir, "DECISIONLOG_FROM="+strconv.Itoa(next))
		out, err := writer.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		lines.Scan()
		reported := 0
		time.AfterFunc(time.Duration(kill)*700*time.Microsecond, func() { _ = writer.Process.Kill() })
		for ok := true; ok; ok = lines.Scan() {
			if _, err := fmt.Sscanf(lines.Text(), "wrote %d", &reported); err != nil {
				t.Fatalf("the writer says %q", lines.Text())
			}
		}
		_ = writer.Wait()
		ids := held(t, b)
		if len(ids) < reported {
			t.Fatalf("%d events are there, and %d were reported", len(ids), reported)
		}
		for n, id := range ids {
			if id != strconv.Itoa(n) {
				t.Fatalf("event %d is %s", n, id)
			}
		}
		next = len(ids)
	}
	if _, err := b.Append(numbered(next, next+1)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(b.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			t.Errorf("a killed writer's %s is still there", entry.Name())
		}
	}
}
