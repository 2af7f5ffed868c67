// Package inspect looks at an installation before a pass begins: what is missing, and what
// mends it. Every pass has the findings among its alarms, and doctor prints them.
package inspect

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/rego/bundle"
	"hermes-reconcile/s6/scripts"
)

// An inspection looks at one part of the installation. It returns what is missing and what
// mends it; nothing is missing if the reason is "".
type inspection struct {
	code  string
	image bool // it is about an image with s6-overlay
	look  func(config.Config) (reason, mend string)
}

// inspections are about what can be missing before a pass begins.
var inspections = []inspection{
	{policy.CodeUntrusted, false, untrustedState},
	{policy.CodeUntrusted, false, untrustedFacts},
	{"user_differs", false, otherUser},
	{"no_setuid", false, noSetuid},
	{"noexec", false, noExec},
	{"clock", false, func(config.Config) (string, string) { return wrongClock(time.Now()) }},
	{"hook", true, func(config.Config) (string, string) { return hookProblem(hookFile, InstalledProgram) }},
	{"home_not_kept", true, func(c config.Config) (string, string) { return notKept("home", c.Home) }},
	{"state_dir_not_kept", true, func(c config.Config) (string, string) { return notKept("state_dir", c.StateDir) }},
}

// Installation returns the findings. Those about an image count where s6-overlay has hooks,
// and whenever all is true.
func Installation(c config.Config, all bool) []view.Finding {
	if _, err := os.Stat(filepath.Dir(hookFile)); err == nil {
		all = true
	}
	var found []view.Finding
	for _, i := range inspections {
		if i.image && !all {
			continue
		}
		if reason, mend := i.look(c); reason != "" {
			found = append(found, view.Finding{Code: i.code, Reason: reason, Mend: mend})
		}
	}
	return found
}

// Alarms returns the alarms of a pass about the installation.
func Alarms(found []view.Finding) []policy.Alarm {
	var alarms []policy.Alarm
	for _, f := range found {
		alarms = append(alarms, policy.Alarm{Code: f.Code, Reason: f.Reason + "; " + f.Mend})
	}
	return alarms
}

// Mends are what mends the findings of a pass, where it does not depend on details.
var Mends = map[string]string{
	"scandir":                 "run doctor in the container, or name the scan directory with --scandir",
	"no_svscan":               "run this program under s6-overlay, or start s6-svscan on the scan directory",
	status.CodeNobody:         "call hermes-reconcile rescan",
	"capacity":                "remove profiles, or raise the limit of s6-svscan and of open files, and s6.capacity",
	"deaths_uncounted":        "install the program at " + InstalledProgram + ", where only root can write",
	"no_program":              "install the program, or name it in gateway.command",
	engine.CodeVolume:         "mount the volume at home, readable for user",
	engine.CodeTimeZone:       "set TZ to a name such as Europe/Zurich",
	policy.CodePolicyFallback: "call hermes-reconcile policy check",
	policy.CodeRuleError:      "call hermes-reconcile policy check",
	policy.CodeSettings:       "correct the setting",
	policy.CodePolicyGone:     "mount the rules, or call hermes-reconcile policy forget",
	policy.CodeExternal:       "repair the plug-in in facts.dir",
	policy.CodeUntrusted:      "let only root write it",
	ledger.CodeNotDecided:     "read the message; it names the place",
	CodeConfiguration:         "correct the key in the configuration",
	CodeNoUser:                "make the user in the image, or set user to UID:GID",
	status.CodeWatch:          "read the log of the service, and start it with s6-svc -u on its slot hermes-reconcile",
	watch.CodeMaxStops:        "call hermes-reconcile apply, or watch --accept, if these gateways should stop",
	watch.CodeContested:       "find out who undoes it, or call hermes-reconcile apply",
	watch.CodeLease:           "make the volume writable for user",
	policy.CodePolicyRefused:  "call hermes-reconcile policy check",
	policy.CodeRolledBack:     "read the message; publish a mended revision, or call hermes-reconcile policy accept",
	watch.CodeNoPass:          "read the message; it names the place",
	codeNoEvents:              "call hermes-reconcile apply after a change, or shorten watch.resync",
}

// InstalledProgram is where the documentation installs this program.
const InstalledProgram = "/usr/local/bin/hermes-reconcile"

// The codes of what is wrong with the configuration.
const (
	CodeConfiguration = "configuration"
	CodeNoUser        = "no_user"
)

// codeNoEvents says that the watch sees changes late.
const codeNoEvents = "no_events"

// shared are the file systems on which other machines, or the host, make changes of which the
// kernel gives no events.
var shared = map[int64]string{
	unix.NFS_SUPER_MAGIC: "NFS", unix.SMB_SUPER_MAGIC: "SMB", unix.SMB2_SUPER_MAGIC: "SMB", unix.CIFS_SUPER_MAGIC: "SMB",
	unix.V9FS_MAGIC: "9p", unix.FUSE_SUPER_MAGIC: "FUSE or virtiofs", unix.CEPH_SUPER_MAGIC: "CephFS",
}

// NoEvents returns the findings about changes that a watch sees only when it looks by itself.
// None says for each kind of trigger that gives no events why there are none.
func NoEvents(c config.Config, none map[string]string) []view.Finding {
	var found []view.Finding
	add := func(format string, args ...any) {
		reason := fmt.Sprintf(format, args...) + fmt.Sprintf("; seen only every %s, by watch.resync", c.Watch.Resync)
		found = append(found, view.Finding{Code: codeNoEvents, Reason: reason, Mend: Mends[codeNoEvents]})
	}
	var st unix.Statfs_t
	if unix.Statfs(c.Home, &st) == nil && shared[int64(st.Type)] != "" {
		add("what others change in the home %s, which is on %s, gives no events", c.Home, shared[int64(st.Type)])
	}
	for _, kind := range slices.Sorted(maps.Keys(none)) {
		add("changes of kind %s give no events: %s", kind, none[kind])
	}
	return found
}

// Bundles returns the findings about bundles that cannot be fetched, or that nobody fetches.
func Bundles(c config.Config, known []policy.Bundle) []view.Finding {
	var found []view.Finding
	add := func(reason, mend string) {
		found = append(found, view.Finding{Code: "bundle", Reason: reason, Mend: mend})
	}
	for _, b := range known {
		if b.Error != "" {
			add(b.Source+" cannot be fetched, and revision "+b.Revision+" stays in force: "+b.Error, "read the message; bundles.services has credentials and authorities")
		}
	}
	if !c.Watch.Enabled && slices.ContainsFunc(c.Policy, policy.IsFetched) {
		add("nobody fetches new bundles: watch.enabled is false", "set watch.enabled, or deliver the bundle as a file and name it with file://")
	}
	return found
}

func untrustedState(c config.Config) (reason, mend string) {
	if c.StateDir == "" {
		return "", ""
	}
	for _, name := range []string{policy.OverridesFile, policy.PausesFile, bundle.LastGoodFile} {
		_, err := trust.Check(filepath.Join(c.StateDir, name), trust.Only(os.Geteuid()))
		if _, ok := errors.AsType[*trust.Error](err); ok {
			return fmt.Sprintf("state_dir %s is not used: %v", c.StateDir, err), "name a directory that no other user can write, off the volume"
		}
	}
	return "", ""
}

// untrustedFacts checks the directory of plug-ins, whose files each have a check of their own.
func untrustedFacts(c config.Config) (reason, mend string) {
	_, err := trust.Check(c.Facts.Dir, trust.NotByUser(c.Distrusted))
	if untrusted, ok := errors.AsType[*trust.Error](err); ok && c.Facts.Dir != "" {
		return fmt.Sprintf("facts.dir %s: %v", c.Facts.Dir, untrusted), untrusted.Mend()
	}
	return "", ""
}

// otherUser compares the user with the one to whom upstream's image gives the home.
func otherUser(c config.Config) (reason, mend string) {
	own, err := trust.LookupUser(c.User)
	if err != nil {
		return "", "" // another finding
	}
	uid, gid := environNumber("HERMES_UID", own.UID), environNumber("HERMES_GID", own.GID)
	if uid == own.UID && gid == own.GID {
		return "", ""
	}
	return fmt.Sprintf("HERMES_UID and HERMES_GID make the home that of %d:%d, and user %q is %d:%d", uid, gid, c.User, own.UID, own.GID),
		fmt.Sprintf("set user to \"%d:%d\", or let the hook that changes the user hermes run before %s", uid, gid, filepath.Base(hookFile))
}

func environNumber(name string, standard int) int {
	if n, err := strconv.Atoi(strings.TrimSpace(os.Getenv(name))); err == nil {
		return n
	}
	return standard
}

// noSetuid finds out whether root can become the user, as s6-setuidgid has to.
func noSetuid(c config.Config) (reason, mend string) {
	user, err := trust.LookupUser(c.User)
	if err != nil || user.UID == 0 || os.Geteuid() != 0 {
		return "", ""
	}
	if !isMapped(user.UID) {
		return fmt.Sprintf("no gateway can run as user %q: the user namespace of the container has no uid %d", c.User, user.UID),
			"map this uid into the container, or set user to one that is mapped"
	}
	const setgid, setuid = 1 << unix.CAP_SETGID, 1 << unix.CAP_SETUID
	has, err := strconv.ParseUint(read.Proc("/proc").Status("self", "CapEff"), 16, 64)
	if err != nil || has&setgid != 0 && has&setuid != 0 {
		return "", ""
	}
	return fmt.Sprintf("no gateway can run as user %q: the container has not both CAP_SETUID and CAP_SETGID", c.User),
		"start the container with --cap-add SETUID --cap-add SETGID"
}

// isMapped reports whether the user namespace has a uid, as far as that is known.
func isMapped(uid int) bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(text)) {
		var inside, outside, count int
		if _, err := fmt.Sscan(line, &inside, &outside, &count); err == nil && inside <= uid && uid-inside < count {
			return true
		}
	}
	return false
}

// noExec finds out whether run scripts can run.
func noExec(c config.Config) (reason, mend string) {
	var st unix.Statfs_t
	if unix.Statfs(c.ScanDir, &st) != nil || st.Flags&unix.ST_NOEXEC == 0 {
		return "", ""
	}
	return fmt.Sprintf("the scan directory %s is mounted noexec, so no run script can run", c.ScanDir), "mount it with exec, such as --tmpfs /run:exec"
}

// beforeReleases is a time before every release of this program.
var beforeReleases = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func wrongClock(now time.Time) (reason, mend string) {
	if now.After(beforeReleases) {
		return "", ""
	}
	return fmt.Sprintf("the clock says %s, so holds, windows and logs have wrong times", now.UTC().Format(time.RFC3339)), "set the clock of the host"
}

// hookFile is where s6-overlay looks for the hook. Upstream's has the same name.
const hookFile = "/etc/cont-init.d/02-reconcile-profiles"

func hookProblem(hook, program string) (reason, mend string) {
	mend = "install hook/02-reconcile-profiles of the release there, and the program at " + program + ", both with mode 0755 and root's alone"
	text, err := trust.Read(hook, trust.Anybody, 64<<10)
	switch err = cmp.Or(err, scripts.CheckProgram(hook), scripts.CheckProgram(program)); {
	case text != nil && !bytes.Contains(text, []byte("hermes-reconcile boot")):
		return fmt.Sprintf("the hook %s is another program's, perhaps upstream's", hook), mend
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("no gateway comes back after a restart: %v", err), mend
	case err != nil:
		return fmt.Sprintf("the hook cannot run as root: %v", err), mend
	}
	return "", ""
}

// passing are the file systems that end with the container.
var passing = map[int64]string{unix.OVERLAYFS_SUPER_MAGIC: "the container's own layer", unix.TMPFS_MAGIC: "memory", unix.RAMFS_MAGIC: "memory"}

// notKept finds a directory, named by a key of the configuration, that is lost with the container.
func notKept(key, dir string) (reason, mend string) {
	existing := dir
	for existing != "/" && unix.Access(existing, unix.F_OK) != nil {
		existing = filepath.Dir(filepath.Clean("/" + existing))
	}
	var st unix.Statfs_t
	if dir == "" || unix.Statfs(existing, &st) != nil || passing[int64(st.Type)] == "" {
		return "", ""
	}
	return fmt.Sprintf("%s %s is in %s, and is lost with the container", key, dir, passing[int64(st.Type)]), "mount a volume there, such as -v NAME:" + dir
}
