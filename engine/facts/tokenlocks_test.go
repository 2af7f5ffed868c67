package facts

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/engine/volume"
)

const (
	lockDir     = ".local/state/hermes/gateway-locks/"
	aDigest     = "0123456789abcdef"
	telegramOf  = lockDir + "telegram-bot-token-" + aDigest + ".lock"
	otherVolume = "/elsewhere/profiles/coder"
)

// lockRecord is a lock as acquire_scoped_lock of upstream's gateway/status.py writes it.
func lockRecord(home, more string) string {
	return `{"pid":4194303,"kind":"hermes-gateway","argv":["/opt/hermes/.venv/bin/hermes","gateway","run","--replace"],"start_time":4242,"hermes_home":"` + home +
		`","scope":"telegram-bot-token","identity_hash":"` + aDigest + `","metadata":{"platform":"telegram"},"updated_at":"2026-11-22T06:00:01.250000+00:00"` + more + `}`
}

// runtimeFilesOf collects the fact for a profile. HOME in a file is the path of the home.
func runtimeFilesOf(t *testing.T, profile string, files map[string]string, environ ...string) (*volume.Home, map[string]any) {
	t.Helper()
	h := newHome(t, map[string]string{"profiles/coder/": "", "profiles/writer/": ""})
	for name, text := range files {
		path := filepath.Join(h.Path(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "HOME", h.Path())), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range environ {
		environ[i] = strings.ReplaceAll(environ[i], "HOME/", h.Path()+"/")
	}
	c := configFor(t, h)
	c.Environ = environ
	return h, collectedFor(t, profileSource(t, c.withDefaults(), "runtime_files"), h, profile)
}

func TestTokenLocks(t *testing.T) {
	coders := lockRecord("HOME/profiles/coder", `,"profile":"coder"`)
	for _, test := range []struct {
		name, profile string
		files         map[string]string
		environ       []string
		want          map[string]string // of the lock, by its keys
	}{
		{"of its gateway", "coder", map[string]string{telegramOf: coders}, nil, map[string]string{
			"status": `"recorded"`, "kind": `"file"`, "scope": `"telegram-bot-token"`, "fingerprint": `"` + aDigest + `"`, "profile": `"coder"`,
			"pid": "4194303", "pid_alive": "false", "age_seconds": "10", "sweepable": "true",
		}},
		{"not of another's", "writer", map[string]string{telegramOf: coders}, nil, map[string]string{"status": "absent"}},
		{"not of the root profile's", "default", map[string]string{telegramOf: coders}, nil, map[string]string{"status": "absent"}},
		{"of the root profile", "default", map[string]string{telegramOf: lockRecord("HOME", "")}, nil, map[string]string{"sweepable": "true"}},
		{"of an old gateway, which wrote no home", "coder", map[string]string{telegramOf: `{"pid":4194303,"profile":"coder"}`}, nil, map[string]string{"sweepable": "true", "home": "absent"}},
		{"of another home", "default", map[string]string{telegramOf: lockRecord(otherVolume, `,"profile":"coder"`)}, nil, map[string]string{"home": `"` + otherVolume + `"`, "sweepable": "false"}},
		{"of another home with our profile's name", "coder", map[string]string{telegramOf: lockRecord(otherVolume, `,"profile":"coder"`)}, nil, map[string]string{"status": "absent"}},
		{"of a profile that is gone", "default", map[string]string{telegramOf: lockRecord("HOME/profiles/gone", `,"profile":"gone"`)}, nil, map[string]string{"profile": `"gone"`, "sweepable": "false"}},
		{"of a home below a profile", "default", map[string]string{telegramOf: lockRecord("HOME/profiles/coder/x", ""), "profiles/coder/x/y": ""}, nil, map[string]string{"sweepable": "false"}},
		{"a name that leads away", "default", map[string]string{telegramOf: `{"pid":4194303,"profile":"../coder"}`}, nil, map[string]string{"sweepable": "false"}},
		{"an empty one, of nobody", "default", map[string]string{telegramOf: ""}, nil, map[string]string{"status": `"empty"`, "sweepable": "false"}},
		{"where a variable says", "coder", map[string]string{"locks/x-" + aDigest + ".lock": coders}, []string{"HERMES_GATEWAY_LOCK_DIR=HOME/locks"}, map[string]string{"scope": `"x"`, "sweepable": "true"}},
		{"below XDG_STATE_HOME", "coder", map[string]string{"state/hermes/gateway-locks/x-" + aDigest + ".lock": coders}, []string{"XDG_STATE_HOME=HOME/state"}, map[string]string{"scope": `"x"`}},
		{"another file there", "default", map[string]string{lockDir + "README": "x", lockDir + "x.lock": "{}"}, nil, map[string]string{"status": "absent"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, fact := runtimeFilesOf(t, test.profile, test.files, test.environ...)
			var lock map[string]any
			for name, file := range fact["files"].(map[string]any) {
				if strings.HasSuffix(name, ".lock") {
					lock = file.(map[string]any)
				}
			}
			facttest.Want(t, lock, test.want)
			facttest.Want(t, fact, map[string]string{"token_locks_status": `"recorded"`})
		})
	}
}

func TestTokenLocksStatus(t *testing.T) {
	for _, test := range []struct {
		name    string
		files   map[string]string
		environ []string
		want    string
	}{
		{"none", nil, nil, `"missing"`},
		{"outside of the home", nil, []string{"HERMES_GATEWAY_LOCK_DIR=/tmp/locks"}, `"unreadable"`},
		{"not a directory", map[string]string{strings.TrimSuffix(lockDir, "/"): "x"}, nil, `"unreadable"`},
	} {
		_, fact := runtimeFilesOf(t, "coder", test.files, test.environ...)
		if got := facttest.Get(fact, "token_locks_status"); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// A token lock is offered only while nobody holds the lock of its gateway and its process is
// not alive.
func TestTokenLocksOfALivingGateway(t *testing.T) {
	me, err := read.Proc("/proc").Process(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	alive := strings.NewReplacer("4194303", strconv.Itoa(me.PID), "4242", strconv.FormatUint(me.Started, 10)).Replace(lockRecord("HOME/profiles/coder", ""))
	_, fact := runtimeFilesOf(t, "coder", map[string]string{telegramOf: alive})
	facttest.Want(t, fact["files"].(map[string]any)[telegramOf].(map[string]any), map[string]string{"pid_alive": "true", "sweepable": "false"})

	h, _ := runtimeFilesOf(t, "coder", map[string]string{telegramOf: lockRecord("HOME/profiles/coder", ""), "profiles/coder/gateway.lock": ""})
	f, err := os.Open(h.Path() + "/profiles/coder/gateway.lock")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	fact = collectedFor(t, profileSource(t, configFor(t, h), "runtime_files"), h, "coder")
	facttest.Want(t, fact["files"].(map[string]any)[telegramOf].(map[string]any), map[string]string{"sweepable": "false"})
}

// The gateway's lock and the takeover marker name the homes of the gateways.
func TestHomesInRuntimeFiles(t *testing.T) {
	_, fact := runtimeFilesOf(t, "coder", map[string]string{
		"profiles/coder/gateway.lock":           lockRecord("/opt/data/profiles/coder", ""),
		"profiles/coder/gateway.pid":            lockRecord("/opt/data/profiles/other", ""),
		"profiles/coder/.gateway-takeover.json": `{"target_pid":7,"target_start_time":1,"target_hermes_home":"/opt/data/profiles/coder","replacer_pid":8,"replacer_hermes_home":"/opt/data","written_at":"2026-11-22T06:00:00+00:00"}`,
	})
	files := fact["files"].(map[string]any)
	for name, want := range map[string]map[string]string{
		"gateway.lock":           {"status": `"recorded"`, "home": `"/opt/data/profiles/coder"`, "pid": "4194303", "pid_alive": "false", "sweepable": "false"},
		"gateway.pid":            {"home": `"/opt/data/profiles/other"`, "sweepable": "true"},
		".gateway-takeover.json": {"home": `"/opt/data/profiles/coder"`, "replacer_home": `"/opt/data"`, "pid": "7", "age_seconds": "11"},
	} {
		facttest.Want(t, files[name].(map[string]any), want)
	}
}

// A home that is mounted through a link is the one that gateways record without it.
func TestTokenLockOfALinkedHome(t *testing.T) {
	h, _ := runtimeFilesOf(t, "coder", map[string]string{telegramOf: lockRecord("HOME/profiles/coder", "")})
	link := filepath.Join(t.TempDir(), "data")
	if err := os.Symlink(h.Path(), link); err != nil {
		t.Fatal(err)
	}
	c := configFor(t, h)
	c.Home = link
	fact := collectedFor(t, profileSource(t, c.withDefaults(), "runtime_files"), h, "coder")
	if len(fact["files"].(map[string]any)) != 1 {
		t.Errorf("the lock is not found: %v", fact)
	}
}
