package decisionlog

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A collector is a real server that takes what OPA sends.
type collector struct {
	*httptest.Server
	mutex    sync.Mutex
	answers  []func(http.ResponseWriter, *http.Request) bool // for the next requests to /logs; true: it was taken
	ids      []string
	statuses []Status
	refused  int
	header   http.Header
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		if r.URL.Path == "/opa/logs" && len(c.answers) > 0 {
			answer := c.answers[0]
			c.answers = c.answers[1:]
			if !answer(w, r) {
				c.refused++
				return
			}
		}
		text, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Errorf("%s: %v", r.URL, err)
			return
		}
		switch r.URL.Path {
		case "/opa/logs":
			var events []json.RawMessage
			if err := json.NewDecoder(text).Decode(&events); err != nil {
				t.Errorf("events: %v", err)
			}
			c.ids, c.header = append(c.ids, idsOf(t, events)...), r.Header
		case "/opa/status":
			var s Status
			if err := json.NewDecoder(text).Decode(&s); err != nil {
				t.Errorf("status: %v", err)
			}
			c.statuses = append(c.statuses, s)
		default:
			t.Errorf("a request for %s", r.URL)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) has() ([]string, []Status) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return slices.Clone(c.ids), slices.Clone(c.statuses)
}

func (c *collector) until(t *testing.T, what string, is func(ids []string, statuses []Status) bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		ids, statuses := c.has()
		if is(ids, statuses) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never: %s; has %v and %d statuses", what, ids, len(statuses))
		}
	}
}

// uploading runs an uploader until the test ends.
func uploading(t *testing.T, c *collector, b Buffer) *Uploader {
	u := &Uploader{
		URL: c.URL + "/opa/", Transport: http.DefaultTransport, Buffer: b, Log: slog.New(slog.DiscardHandler),
		Again: time.Millisecond, Resting: time.Hour, Wake: make(chan struct{}, 1),
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		u.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return u
}

// refuses answers with a status and takes nothing.
func refuses(code int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "not now", code)
		return false
	}
}

// breaks reads a part of the request and ends the connection.
func breaks(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }

// slow takes a request after some time.
func slow(_ http.ResponseWriter, r *http.Request) bool {
	time.Sleep(50 * time.Millisecond)
	return true
}

// A collector that fails, breaks connections, and is slow gets every event once and in order,
// also those from before the uploader began, with what it needs to read them.
func TestUploads(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	c.answers = []func(http.ResponseWriter, *http.Request) bool{refuses(500), refuses(503), breaks, refuses(429), slow, refuses(401), slow}
	b := Buffer{inTemp(t, "decisions"), 1 << 20}
	write := func(from, to int) {
		t.Helper()
		if dropped, err := b.Append(numbered(from, to)); dropped > 0 || err != nil {
			t.Fatal(dropped, err)
		}
	}
	write(0, 100)
	u := uploading(t, c, b)
	for n := 100; n < 200; n += 20 {
		write(n, n+20)
		u.Passed(Status{Labels: map[string]string{"host": "h"}})
	}
	c.until(t, "it has all events", func(ids []string, _ []Status) bool { return len(ids) >= 200 })
	ids, _ := c.has()
	for n, id := range ids {
		if id != strconv.Itoa(n) {
			t.Fatalf("event %d is %s: %v", n, id, ids)
		}
	}
	if c.refused == 0 || c.header.Get("Content-Encoding") != "gzip" || c.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d refused, header %v", c.refused, c.header)
	}
	for len(held(t, b)) > 0 {
		time.Sleep(time.Millisecond)
	}
	for u.State().UploadedUnix == 0 || u.State().Buffered > 0 || u.State().Problem != "" {
		time.Sleep(time.Millisecond)
	}
}

// An answer that is lost after the collector took the events makes it get them again, with the
// same ids.
func TestUploadsAgain(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	lost := func(w http.ResponseWriter, r *http.Request) bool {
		text, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
		}
		var events []json.RawMessage
		if err := json.NewDecoder(text).Decode(&events); err != nil {
			t.Error(err)
		}
		c.ids = append(c.ids, idsOf(t, events)...)
		panic(http.ErrAbortHandler)
	}
	c.answers = []func(http.ResponseWriter, *http.Request) bool{lost}
	b := Buffer{inTemp(t, "decisions"), 1 << 20}
	if _, err := b.Append(numbered(0, 3)); err != nil {
		t.Fatal(err)
	}
	uploading(t, c, b)
	c.until(t, "it has them twice", func(ids []string, _ []Status) bool { return len(ids) == 6 })
	if ids, _ := c.has(); strings.Join(ids, "") != "012012" {
		t.Errorf("ids %v", ids)
	}
}

// The newest status is sent when it differs from the one before, also after a failure.
func TestStatusOnChange(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	u := uploading(t, c, Buffer{inTemp(t, "decisions"), 1 << 20})
	at := func(revision string) Status {
		return Status{Bundles: map[string]BundleStatus{PolicyName: {Name: PolicyName, ActiveRevision: revision}}}
	}
	latest := func(revision string, count int) {
		t.Helper()
		c.until(t, "status of "+revision, func(_ []string, all []Status) bool {
			return len(all) == count && all[count-1].Bundles[PolicyName].ActiveRevision == revision
		})
	}
	u.Passed(at("one"))
	latest("one", 1)
	u.Passed(at("one"))
	u.Passed(at("two"))
	latest("two", 2)
}

// A collector that sends elsewhere gets nothing to go there, and an answer without an end is
// no reason to wait for it.
func TestUploadsAnswers(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("a request for %s", r.URL) }))
	t.Cleanup(elsewhere.Close)
	c := newCollector(t)
	c.answers = []func(http.ResponseWriter, *http.Request) bool{
		func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return false
		},
		func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusInternalServerError)
			_, err := io.Copy(w, zeros{})
			return err == nil
		},
	}
	b := Buffer{inTemp(t, "decisions"), 1 << 20}
	if _, err := b.Append(numbered(0, 1)); err != nil {
		t.Fatal(err)
	}
	uploading(t, c, b)
	c.until(t, "it has the event", func(ids []string, _ []Status) bool { return len(ids) == 1 })
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
