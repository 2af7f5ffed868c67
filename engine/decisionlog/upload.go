package decisionlog

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"hermes-reconcile/engine/watch"
)

// A Status is what runs, with the keys of UpdateRequestV1 of OPA's package plugins/status.
type Status struct {
	Labels  map[string]string       `json:"labels"`
	Bundles map[string]BundleStatus `json:"bundles"`
}

// A BundleStatus is that of the rules from one place.
type BundleStatus struct {
	Name           string        `json:"name"`
	ActiveRevision string        `json:"active_revision,omitempty"`
	Activated      time.Time     `json:"last_successful_activation"`
	Answered       time.Time     `json:"last_successful_request"`
	Requested      time.Time     `json:"last_request"`
	Code           string        `json:"code,omitempty"`
	Message        string        `json:"message,omitempty"`
	Errors         []BundleError `json:"errors,omitempty"`
}

// A BundleError is why rules are not used.
type BundleError struct {
	Message string `json:"message"`
}

// An Uploader sends what waits in a buffer to a collector, in order, until the collector has
// all of it, and the newest status. An upload whose answer is lost is sent again, with the
// same decision ids.
type Uploader struct {
	URL string // /logs and /status are below it
	// Transport adds the credentials.
	Transport http.RoundTripper
	Buffer    Buffer
	Log       *slog.Logger
	Again     time.Duration // pause after the first failure; later ones are longer, up to 64 times this
	Resting   time.Duration // how long nothing waits before it looks again
	Wake      chan struct{} // with room for one

	mutex  sync.Mutex
	status []byte // the newest
	sent   []byte // that the collector has
	state  watch.Uploads
}

// Passed is called after each pass.
func (u *Uploader) Passed(s Status) {
	text, _ := json.Marshal(s) // texts, numbers and times
	u.mutex.Lock()
	u.status = text
	u.mutex.Unlock()
	select {
	case u.Wake <- struct{}{}:
	default:
	}
}

// Run uploads until ctx ends.
func (u *Uploader) Run(ctx context.Context) {
	failures, said := 0, ""
	for ctx.Err() == nil {
		left, err := u.upload(ctx)
		if ctx.Err() != nil {
			return
		}
		u.note(left, err)
		pause, wake := u.Resting, u.Wake
		switch {
		case err != nil:
			if err.Error() != said {
				u.Log.Warn("the collector of the decision log does not have everything, trying again", "err", err)
			}
			said = err.Error()
			pause, wake = u.Again<<min(failures, 6), nil // no pass shortens it
			pause = pause/2 + rand.N(pause)              // hosts that failed together do not come back together
			failures++
		case left > 0:
			pause = 0
			fallthrough
		default:
			failures, said = 0, ""
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		case <-wake:
		}
	}
}

func (u *Uploader) note(left int, err error) {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	u.state.Buffered, u.state.Problem = left, ""
	if err != nil {
		u.state.Problem = err.Error()
	} else {
		u.state.UploadedUnix = time.Now().Unix()
	}
}

// State returns how the uploads went.
func (u *Uploader) State() watch.Uploads {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	return u.state
}

// upload sends the status, if it is new, and the oldest events. It returns how many events
// still wait.
func (u *Uploader) upload(ctx context.Context) (left int, err error) {
	u.mutex.Lock()
	status := u.status
	u.mutex.Unlock()
	if !bytes.Equal(status, u.sent) {
		if err = u.post(ctx, "/status", json.RawMessage(status)); err == nil {
			u.sent = status
		}
	}
	all, logErr := u.Buffer.waiting()
	var events []json.RawMessage
	if len(all) > 0 && logErr == nil {
		events, logErr = u.Buffer.read(all[0])
	}
	if len(events) > 0 && logErr == nil {
		logErr = u.post(ctx, "/logs", events)
	}
	if len(all) > 0 && logErr == nil {
		logErr = os.Remove(all[0].in(u.Buffer.Dir))
		all = all[1:]
	}
	for _, one := range all {
		left += one.events
	}
	return left, errors.Join(err, logErr)
}

// uploadTime is the longest time of one request.
const uploadTime = 30 * time.Second

// followNone keeps what a host sends to its collector from other hosts.
func followNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// post sends one document, compressed.
func (u *Uploader) post(ctx context.Context, path string, document any) error {
	var body bytes.Buffer
	zipped := gzip.NewWriter(&body)
	if err := errors.Join(json.NewEncoder(zipped).Encode(document), zipped.Close()); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(u.URL, "/")+path, &body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Content-Encoding", "gzip")
	client := http.Client{Transport: u.Transport, Timeout: uploadTime, CheckRedirect: followNone}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10) // so that the connection serves again
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("POST %s: %s", request.URL, answer.Status)
	}
	return nil
}
