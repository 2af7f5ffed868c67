package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hermes-reconcile/policy"
)

func checkNumber(n int, want string) error {
	if n < -1 {
		return fmt.Errorf("%d, want %s", n, want)
	}
	return nil
}

// checkListen checks an address that names its host, so that nobody listens everywhere by
// leaving it out. The path of a socket is limited by the kernel.
func checkListen(address string) error {
	if address == "" || filepath.IsAbs(address) && len(address) <= 107 {
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if number, notNumber := strconv.ParseUint(port, 10, 16); err == nil && host != "" && notNumber == nil && number > 0 {
		return nil
	}
	return fmt.Errorf("%q, want HOST:PORT such as 127.0.0.1:9632, or the path of a socket such as /run/hermes-reconcile/metrics.sock, of at most 107 bytes", address)
}

// checkCollector checks the URL of a collector: what leaves the host is encrypted, and the
// configuration has no password.
func checkCollector(address string) error {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return nil
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%q, want a URL such as https://collector.example.com/opa", policy.Cut(address))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("a URL with a user or a query, which may be a secret; want it without")
	case u.Scheme == "http" && u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback():
		return fmt.Errorf("%q, and events would leave this host in the clear; want https, or a proxy on this host such as http://127.0.0.1:8181", address)
	}
	return nil
}

// The limits of labels.
const (
	mostLabels = 32
	maxLabel   = 128 // bytes of a value
)

var labelName = policy.Pattern(`^[a-zA-Z][a-zA-Z0-9_]{0,62}$`)

// checkLabel checks a label. It becomes one of a metric, and everybody may see it.
func checkLabel(name, value string) error {
	switch {
	case !labelName().MatchString(name):
		return fmt.Errorf("%q is no name of a label, want letters, digits and _, such as site", name)
	case slices.Contains([]string{"error", "id", "status", "version"}, name):
		return fmt.Errorf("%s is taken, want another name", name)
	case policy.NamesSecret(name):
		return fmt.Errorf("%s is the name of a secret, and a label is shown to everybody", name)
	case len(value) > maxLabel || policy.Line(value) != value:
		return fmt.Errorf("%s is %q, want at most %d bytes that can be printed", name, policy.Cut(value), maxLabel)
	}
	return nil
}

// checkConfigKeys checks the keys that become facts: a fact never holds a secret.
func checkConfigKeys(keys []string) error {
	for _, key := range keys {
		for part := range strings.SplitSeq(key, ".") {
			switch {
			case strings.TrimSpace(part) != part || part == "":
				return fmt.Errorf("%q, want keys with dots between them, such as model.provider", key)
			case policy.NamesSecret(part):
				return fmt.Errorf("%q, and %s is the name of a secret; want keys that may be shown, such as model.provider", key, part)
			}
		}
	}
	return nil
}
