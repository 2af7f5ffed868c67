// Package fetch fetches files over HTTPS and from OCI registries, within limits. It does not
// look into them.
//
// OPA has packages for that, download and plugins/rest. With them every command and child
// would initialise 31 more packages at its start, which takes 1.5 ms of the 5 ms that one
// has. This package needs none that OPA's compiler does not need, and no time. Requests for S3
// are signed by OPA's function for rules.
package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Client fetches files. Its fields do not change.
type Client struct {
	Services []Service
	HTTP     bool // also plain HTTP beyond this machine
	MaxBytes int64

	metadataServer string // for tests; empty: that of the cloud
}

// A Result is the answer of a server.
type Result struct {
	Text []byte // nil: it is not modified
	ETag string
	// LongPoll means that the server that sent the text can wait for a change.
	LongPoll bool
}

// maxRedirects is how often a server may send a request on.
const maxRedirects = 5

// maxMeta limits what a server says about a file, in bytes: headers, manifests, tokens.
const maxMeta = 256 << 10

// maxETag limits an ETag, in bytes. A longer one is kept by nobody, and so is none.
const maxETag = 1 << 10

// Get fetches the file of a URL, or of oci://registry/repository:tag, unless it has the ETag.
// With wait, the server is asked to wait so long for a change. The time is that of ctx. The
// error shows neither credentials nor the query of a URL.
func (c *Client) Get(ctx context.Context, source, etag string, wait time.Duration) (Result, error) {
	s := &session{Client: c}
	var r Result
	var err error
	if reference, ok := strings.CutPrefix(source, "oci://"); ok {
		r, err = s.image(ctx, reference, etag)
	} else {
		r, err = s.file(ctx, source, etag, wait)
	}
	return r, plain(ctx, err)
}

// plain is the error of a request without the URL. A late one says why it was ended.
func plain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("not done in time: %w", context.Cause(ctx))
	}
	return withoutURL(err)
}

// withoutURL removes the URL from an error, because a query can be a secret.
func withoutURL(err error) error {
	if of, ok := errors.AsType[*url.Error](err); ok {
		return of.Err
	}
	return err
}

// file fetches the file of a URL.
func (s *session) file(ctx context.Context, source, etag string, wait time.Duration) (Result, error) {
	header := http.Header{"Prefer": {"modes=snapshot"}}
	if wait > 0 {
		header.Set("Prefer", fmt.Sprintf("modes=snapshot;wait=%d", int(wait.Seconds())))
	}
	if etag != "" {
		header.Set("If-None-Match", etag)
	}
	answer, err := s.do(ctx, http.MethodGet, source, header, nil)
	if err != nil {
		return Result{}, err
	}
	defer answer.Body.Close()
	r := Result{ETag: answer.Header.Get("ETag"), LongPoll: answer.Header.Get("Content-Type") == "application/vnd.openpolicyagent.bundles"}
	if answer.StatusCode == http.StatusNotModified && etag != "" {
		return Result{ETag: etag}, nil
	}
	if len(r.ETag) > maxETag {
		r.ETag = ""
	}
	r.Text, err = readAll(answer, s.MaxBytes)
	return r, err
}

// do sends a request. A registry that asks for a token gets one, once. The caller closes the
// body of the answer.
func (s *session) do(ctx context.Context, method, where string, header http.Header, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, where, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = header
	client := &http.Client{Transport: s, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		switch {
		case len(via) > maxRedirects:
			return fmt.Errorf("more than %d redirects", maxRedirects)
		case via[0].URL.Scheme == "https" && next.URL.Scheme != "https":
			return fmt.Errorf("a redirect from https to %s", next.URL.Scheme)
		}
		return nil
	}}
	answer, err := client.Do(request)
	if err != nil || answer.StatusCode != http.StatusUnauthorized || s.registry == "" || s.asked {
		return answer, err
	}
	answer.Body.Close()
	s.asked = true
	if err := s.authorize(ctx, answer.Header.Get("Www-Authenticate")); err != nil || s.token == "" {
		return answer, err
	}
	return s.do(ctx, method, where, header, body)
}

func refusal(answer *http.Response) error {
	hint, code := "", answer.StatusCode
	if code == http.StatusUnauthorized || code == http.StatusForbidden {
		hint = "; bundles.services has the credentials for a URL"
	}
	return fmt.Errorf("the server answers %d %s%s", code, http.StatusText(code), hint)
}

// readAll reads the body of an answer.
func readAll(answer *http.Response, most int64) ([]byte, error) {
	if answer.StatusCode != http.StatusOK {
		return nil, refusal(answer)
	}
	large := fmt.Errorf("it has more than %d bytes, see bundles.max_bytes", most)
	if answer.ContentLength > most {
		return nil, large
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the server ended early, after %d bytes: %w", len(text), err)
	case int64(len(text)) > most:
		return nil, large
	case len(text) == 0:
		return nil, errors.New("the server sent nothing")
	}
	return text, nil
}
