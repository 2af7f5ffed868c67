package notify

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// What changes in directories is told, also in one that came later, that got another name, or
// that was removed and made again; nothing is told of others.
func TestWatch(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(base, name) }
	must(os.Mkdir(at("a"), 0o755))
	must(os.Mkdir(at("other"), 0o755))
	dirs := func() []string { return []string{base, at("a"), at("later")} }
	var mutex sync.Mutex
	told := map[string]bool{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Watch(ctx, dirs, func(path string) {
			mutex.Lock()
			defer mutex.Unlock()
			told[strings.TrimPrefix(path, base)] = true
		})
	}()
	tells := func(path string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			mutex.Lock()
			found := told[path]
			mutex.Unlock()
			if found {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("nothing is told of %s: %v", path, told)
			}
		}
	}
	tells("/a") // it is watched
	must(os.WriteFile(at("other/x"), nil, 0o644))
	must(os.WriteFile(at("a/x"), nil, 0o644))
	tells("/a/x")
	must(os.Mkdir(at("later"), 0o755))
	must(os.WriteFile(at("later/y"), nil, 0o644))
	tells("/later") // y may be older than the watch
	must(os.Rename(at("a"), at("b")))
	must(os.Mkdir(at("a"), 0o755))
	must(os.WriteFile(at("a/first"), nil, 0o644))
	tells("/b")
	for i := 0; ; i++ { // until the new directory is watched
		must(os.WriteFile(at("a/second"), []byte{byte(i)}, 0o644))
		mutex.Lock()
		found := told["/a/second"]
		mutex.Unlock()
		if found {
			break
		}
		if i > 2000 {
			t.Fatal("nothing is told of the directory that was made again")
		}
		time.Sleep(10 * time.Millisecond)
	}
	mutex.Lock()
	if told["/other/x"] {
		t.Error("a directory that nobody asked for is watched")
	}
	mutex.Unlock()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}
