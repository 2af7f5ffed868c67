package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
)

// good is what a pass finds in a container in which nothing is wrong.
func good() *status.Document {
	running := true
	return &status.Document{
		Watch:  status.Watch{Running: true, Looked: time.Unix(1763799000, 0), Next: time.Unix(1763800000, 0)},
		Labels: map[string]string{"host": "h"}, DecisionLog: &status.DecisionLog{Uploaded: time.Unix(1763799000, 0)},
		Volume:     status.Volume{Readable: true, Owner: &status.Owner{Ours: true, SeenAt: time.Unix(1763799000, 0)}},
		Supervisor: status.Supervisor{Running: &running}, At: time.Unix(1763799011, 0),
		Policy: policy.Status{Source: "built-in", Revision: "6c1f0a2b9d3e"},
		Alarms: []policy.Alarm{{Profile: "coder", Code: "not_up"}, {Code: "contested"}, {Code: "contested"}},
		Profiles: map[string]status.Profile{
			"coder": {Wanted: status.WantedUp, Now: policy.NowDown, Restarts: 7, Since: time.Unix(1763799010, 0)},
			"old":   {Wanted: status.Nothing, Now: policy.NowNothing},
		},
	}
}

func newWatch() *Watch { return NewWatch(func() time.Duration { return time.Hour }) }

// client asks a watch that serves at an address.
type client struct {
	http.Client
	t       *testing.T
	address string
}

// serve serves a watch until the test ends.
func serve(t *testing.T, w *Watch, address string) *client {
	t.Helper()
	c := &client{t: t, address: address}
	c.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return c.dial() }}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Serve(ctx, address, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return c
}

// dial waits for half a minute until somebody listens.
func (c *client) dial() (net.Conn, error) {
	network := "tcp"
	if strings.HasPrefix(c.address, "/") {
		network = "unix"
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		connection, err := net.Dial(network, c.address)
		if err == nil || time.Now().After(deadline) {
			return connection, err
		}
		time.Sleep(time.Millisecond)
	}
}

func (c *client) ask(method, path string) (code int, text string) {
	c.t.Helper()
	request, err := http.NewRequest(method, "http://watch"+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	answer, err := c.Do(request)
	if err != nil {
		c.t.Fatalf("%s: %v", path, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatalf("%s: %v", path, err)
	}
	return answer.StatusCode, string(body)
}

// freePort returns an address on the loopback at which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// socketIn returns the path of a socket in a directory of this user.
func socketIn(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "s")
}

// A watch answers alike at a port and at a socket: what it counted, what its last pass found,
// and whether it works.
func TestWatchAnswers(t *testing.T) {
	for kind, address := range map[string]string{"port": freePort(t), "socket": socketIn(t)} {
		t.Run(kind, func(t *testing.T) {
			w := newWatch()
			w.Page = http.HandlerFunc(func(to http.ResponseWriter, _ *http.Request) { fmt.Fprint(to, "a page") })
			c := serve(t, w, address)
			want := func(path string, wantCode int, words ...string) {
				t.Helper()
				code, text := c.ask("GET", path)
				if code != wantCode {
					t.Errorf("%s: status %d, want %d: %s", path, code, wantCode, text)
				}
				for _, word := range words {
					if !strings.Contains(text, word) {
						t.Errorf("%s: got\n%s\nwant %q", path, text, word)
					}
				}
			}
			want("/healthz", 200, "ok")
			want("/readyz", 503, "the first pass is not over")
			want("/metrics", 200, `hermes_reconcile_watch_passes_total{result="done"} 0`)

			w.Passed(Pass{Triggers: []string{"poke", "volume"}, Took: 250 * time.Millisecond, Changed: 2, Status: good()})
			want("/readyz", 200, "ok")
			want("/metrics", 200, `hermes_reconcile_watch_passes_total{result="done"} 1`, `hermes_reconcile_watch_triggers_total{kind="volume"} 1`,
				"hermes_reconcile_watch_changes_total 2\n", "hermes_reconcile_watch_pass_seconds_total 0.25\n",
				`hermes_reconcile_profile_wanted{profile="coder"} 1`, `hermes_reconcile_alarms{profile="",code="contested"} 2`)

			w.Passed(Pass{Triggers: []string{"volume"}, Failed: true})
			want("/readyz", 503, "something went wrong in the last pass")
			want("/metrics", 200, `hermes_reconcile_watch_passes_total{result="failed"} 1`, `hermes_reconcile_watch_triggers_total{kind="volume"} 2`,
				`hermes_reconcile_profile_wanted{profile="coder"} 1`)

			gone := good()
			gone.Volume.Readable = false
			w.Passed(Pass{Status: gone})
			want("/readyz", 503, "the volume cannot be read")
			want("/healthz", 200, "ok")

			w.mutex.Lock()
			w.looked = time.Now().Add(-3*time.Hour - time.Minute)
			w.mutex.Unlock()
			want("/healthz", 503, "the watch has not looked for 3h1m")

			want("/", 200, "a page")
			want("/index.html", 404)
			want("/metrics/x", 404)
			want("/debug/pprof/", 404)
			if code, text := c.ask("HEAD", "/"); code != 200 || text != "" {
				t.Errorf("HEAD /: %d %s", code, text)
			}
			for _, method := range []string{"POST", "PUT", "DELETE"} {
				for _, path := range []string{"/", "/metrics"} {
					if code, _ := c.ask(method, path); code != 405 {
						t.Errorf("%s %s: status %d, want 405", method, path, code)
					}
				}
			}
		})
	}
}

// Clients that send nothing, and more of them than there is room for, keep nobody out for
// long, and a large header is refused.
func TestWatchBesideBadClients(t *testing.T) {
	w := newWatch()
	w.Passed(Pass{Status: good()})
	c := serve(t, w, socketIn(t))
	var silent []net.Conn
	for range mostConnections {
		connection, err := c.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		silent = append(silent, connection)
	}
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			if code, text := c.ask("GET", "/metrics"); code != 200 || !strings.Contains(text, "profile_wanted") {
				t.Errorf("status %d: %.80s", code, text)
			}
		})
	}
	all.Wait()
	if !slices.ContainsFunc(silent, isClosed) {
		t.Errorf("more than %d connections at once", mostConnections)
	}
	request, err := http.NewRequest("GET", "http://watch/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X", strings.Repeat("x", 4*mostHeader))
	answer, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a large header: %s", answer.Status)
	}
}

// isClosed reports whether the other side has closed a connection.
func isClosed(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// Only this user can use the socket. It replaces that of a dead watch, and nothing else.
func TestWatchSocket(t *testing.T) {
	path := socketIn(t)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	w := newWatch()
	c := serve(t, w, path)
	c.ask("GET", "/healthz")
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket: %v, %v, want mode 0600", info, err)
	}

	file, open := socketIn(t), socketIn(t)
	if err := os.WriteFile(file, []byte("kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(open), 0o777); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		path: "another process listens there", file: "is not a socket: name another path",
		open: "can be written by others than its owner", "/proc/self/missing/s": "no such file or directory",
	} {
		if l, err := listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want an error with %q", path, l, err, want)
		}
	}
	if text, err := os.ReadFile(file); string(text) != "kept" {
		t.Errorf("a file at the place of the socket: %q, %v", text, err)
	}
	if code, _ := c.ask("GET", "/healthz"); code != 200 {
		t.Errorf("the watch that listens: status %d", code)
	}
}

// An address that is in use is one line of the log, and used when it is free.
func TestWatchAddressInUse(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := newWatch()
	w.again = time.Millisecond
	lines := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Serve(ctx, other.Addr().String(), slog.New(slog.NewTextHandler(lineWriter(lines), nil)))
	}()
	if line := <-lines; !strings.Contains(line, "key=watch.listen") || !strings.Contains(line, "address already in use") {
		t.Errorf("the log: %s", line)
	}
	other.Close()
	c := &client{t: t, address: other.Addr().String()}
	c.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return c.dial() }}
	if code, text := c.ask("GET", "/healthz"); code != 200 {
		t.Errorf("status %d: %s", code, text)
	}
	cancel()
	<-ended
	if len(lines) > 0 {
		t.Errorf("the log says it again: %s", <-lines)
	}
}

type lineWriter chan string

func (w lineWriter) Write(text []byte) (int, error) {
	w <- string(text)
	return len(text), nil
}

// Prometheus' own linter has nothing to say, whatever an agent names its profiles.
func TestWatchMetricsAreWellFormed(t *testing.T) {
	w := newWatch()
	d := good()
	for i, name := range []string{"a\"b\\c\nd", "\x1b[31m", "\xff", "}\n# HELP x y"} {
		d.Profiles[name] = status.Profile{Wanted: status.WantedUp, Slot: policy.Maybe(name), Code: name, Now: policy.NowUp, Since: time.Unix(int64(i), 0)}
	}
	w.Passed(Pass{Triggers: []string{"volume"}, Status: d})
	text, err := w.metrics()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v in\n%s", problems, err, text)
	}
	if got, want := bytes.Count(text, []byte("\nhermes_reconcile_profile_info{")), len(d.Profiles); got != want {
		t.Errorf("%d profiles, want %d in\n%s", got, want, text)
	}
	again, _ := w.metrics()
	if fmt.Sprintf("%p", text) != fmt.Sprintf("%p", again) {
		t.Error("the text is made anew without a pass")
	}
}

// docs/metrics.md explains every metric, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newWatch()
	d := good()
	d.Policy.Bundles = []policy.Bundle{{Source: "oci://registry.example.com/policy:prod", Activated: time.Now(), Checked: time.Now()}}
	w.Passed(Pass{Triggers: []string{"volume"}, Status: d})
	text, err := w.metrics()
	if err != nil {
		t.Fatal(err)
	}
	have := regexp.MustCompile(`(?m)^# TYPE (\w+) `).FindAllSubmatch(text, -1)
	for _, name := range have {
		if !bytes.Contains(page, append([]byte("| `"), name[1]...)) {
			t.Errorf("docs/metrics.md does not explain %s", name[1])
		}
	}
	for _, name := range regexp.MustCompile(`hermes_reconcile_\w+`).FindAll(page, -1) {
		if !bytes.Contains(text, append([]byte("# TYPE "), name...)) {
			t.Errorf("docs/metrics.md names the metric %s, which does not exist", name)
		}
	}
}
