package service

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A page is kept nowhere, shows nothing of another site and is shown by none, and is not given to
// a browser that a name of another site led here.
func TestPageIsOfThisHost(t *testing.T) {
	p := &reporter{text: []byte("<!doctype html>the page"), until: time.Now().Add(time.Hour)}
	for host, want := range map[string]int{
		"127.0.0.1:9632": 200, "[::1]:9632": 200, "localhost": 200, "gateway-1:9632": 200, "192.0.2.1": 200, "evil.example:9632": 403, "127.0.0.1.evil.example": 403,
	} {
		answer := httptest.NewRecorder()
		p.ServeHTTP(answer, &http.Request{Method: "GET", Host: host})
		if has := strings.Contains(answer.Body.String(), "the page"); answer.Code != want || has != (want == 200) {
			t.Errorf("%s: %d %s, want %d", host, answer.Code, answer.Body, want)
		}
		if want != 200 {
			continue
		}
		for header, words := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'sha256-", "Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
		} {
			if got := answer.Header().Get(header); !strings.HasPrefix(got, words) {
				t.Errorf("%s: %s is %q, want %q", host, header, got, words)
			}
		}
		if got := answer.Header().Get("Content-Security-Policy"); !strings.HasSuffix(got, "frame-ancestors 'none'") || strings.Contains(got, "unsafe") {
			t.Errorf("the policy is %s", got)
		}
	}
}

// However many ask, one report is made, and what went wrong is an answer too.
func TestOneReportForAll(t *testing.T) {
	var made int
	p := &reporter{arguments: func() []string {
		made++
		return []string{"-test.run=^$"} // this program is the test, and prints no page
	}}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			answer := httptest.NewRecorder()
			p.ServeHTTP(answer, &http.Request{Method: "GET", Host: "localhost"})
			if answer.Code != 503 || !strings.HasPrefix(answer.Body.String(), "no report: ") {
				t.Errorf("%d %s", answer.Code, answer.Body)
			}
		})
	}
	all.Wait()
	if made != 1 {
		t.Errorf("%d reports are made, want 1", made)
	}
}
