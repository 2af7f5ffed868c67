package service

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/view/page"
)

// The limits of what a report can cost the watch.
const (
	pageTime = 8 * time.Second // less than the server has for an answer
	pageRest = 5 * time.Second // at least from one report to the next; ten times as long as it took
)

// A reporter shows the report over HTTP. The command "report" makes it in a process of its own:
// so it is the same page, and takes neither memory nor the life of the watch.
type reporter struct {
	arguments func() []string // of this program

	mutex sync.Mutex // of the rest, also while a report is made
	text  []byte
	err   error
	until time.Time // for which the report is used again
}

func (p *reporter) ServeHTTP(to http.ResponseWriter, request *http.Request) {
	if !hasNoDomain(request.Host) {
		http.Error(to, "ask by address or by a name without a domain: a page elsewhere can lead a browser here by another name", http.StatusForbidden)
		return
	}
	text, err := p.current()
	if err != nil {
		http.Error(to, "no report: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	for name, value := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": page.Policy() + "; frame-ancestors 'none'", "Cache-Control": "no-store",
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		to.Header().Set(name, value)
	}
	_, _ = to.Write(text) // who asked may be gone
}

// hasNoDomain reports whether a host is an address or a name of one word. Nobody elsewhere can
// make such a name mean this host.
func hasNoDomain(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	return !strings.Contains(name, ".") || net.ParseIP(name) != nil
}

// current returns a report that is at most as old as a report has to rest.
func (p *reporter) current() ([]byte, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	begun := time.Now()
	if begun.Before(p.until) {
		return p.text, p.err
	}
	p.text, p.err = p.make()
	p.until = time.Now().Add(max(pageRest, 10*time.Since(begun)))
	return p.text, p.err
}

// make runs the command. A report of a container that is in trouble is a report too.
func (p *reporter) make() ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), pageTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", p.arguments()...)
	cmd.Args[0] = "hermes-reconcile"
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Second
	text, err := cmd.Output()
	if bytes.HasPrefix(text, []byte("<!doctype html>")) && ctx.Err() == nil {
		return text, nil
	}
	return nil, fmt.Errorf("%w: run hermes-reconcile report", cmp.Or(ctx.Err(), err, errors.New("it is empty")))
}
