package metrics

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/common/expfmt"
	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"

	"hermes-reconcile/policy/trust"
)

// The limits of what others can cost the watch.
const (
	mostConnections = 64
	mostHeader      = 8 << 10 // bytes
	readTime        = 2 * time.Second
	writeTime       = 10 * time.Second
)

// Serve answers at an address until ctx ends: HOST:PORT, or the path of a unix socket. When
// it cannot listen, it says so in the log, once for each reason, and tries again each minute.
func (w *Watch) Serve(ctx context.Context, address string, log *slog.Logger) {
	for said := ""; ctx.Err() == nil; {
		if err := w.serve(ctx, address); ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			log.Warn("no metrics, trying again each minute", "key", "watch.listen", "error", said)
		}
		select {
		case <-ctx.Done():
		case <-time.After(w.again):
		}
	}
}

// serve answers until ctx ends or it cannot. The error is never nil.
func (w *Watch) serve(ctx context.Context, address string) error {
	listener, err := listen(ctx, address)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: w.handler(), MaxHeaderBytes: mostHeader, ReadTimeout: readTime, WriteTimeout: writeTime,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // who asks writes no log
	}
	server.SetKeepAlivesEnabled(false) // one who keeps a connection keeps it from others
	defer context.AfterFunc(ctx, func() { server.Close() })()
	return server.Serve(netutil.LimitListener(listener, mostConnections))
}

func (w *Watch) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(to http.ResponseWriter, _ *http.Request) {
		text, err := w.metrics()
		if err != nil {
			http.Error(to, err.Error(), http.StatusInternalServerError)
			return
		}
		to.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
		_, _ = to.Write(text) // who asked may be gone
	})
	if w.Page != nil {
		mux.Handle("GET /{$}", w.Page)
	}
	mux.HandleFunc("GET /healthz", answer(w.notAlive))
	mux.HandleFunc("GET /readyz", answer(w.notReady))
	return mux
}

// answer answers with what is wrong, or that nothing is.
func answer(problem func() string) http.HandlerFunc {
	return func(to http.ResponseWriter, _ *http.Request) {
		if wrong := problem(); wrong != "" {
			http.Error(to, wrong, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(to, "ok")
	}
}

// listen listens at HOST:PORT or at a unix socket, which only this user can use.
func listen(ctx context.Context, address string) (net.Listener, error) {
	if !strings.HasPrefix(address, "/") {
		return new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	if err := trust.Directory(filepath.Dir(address), trust.Only(os.Geteuid())); err != nil {
		return nil, err
	}
	if err := removeDead(address); err != nil {
		return nil, err
	}
	// The file gets the mode that the socket has before.
	private := net.ListenConfig{Control: func(_, _ string, socket syscall.RawConn) error {
		var chmodErr error
		err := socket.Control(func(fd uintptr) { chmodErr = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, chmodErr)
	}}
	return private.Listen(ctx, "unix", address)
}

// removeDead removes a socket at which nobody listens.
func removeDead(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is not a socket: name another path", path)
	}
	connection, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		connection.Close()
		return fmt.Errorf("%s: another process listens there", path)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
