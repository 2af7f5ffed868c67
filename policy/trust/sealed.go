package trust

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// sealed reports whether nobody in this container can change what is in a directory, whatever
// its mode says: its mount is read-only, and no other mount shows the same place writable.
// Kubernetes mounts a ConfigMap so, with the mode 0777.
func sealed(dir string) bool {
	var st unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, dir, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MNT_ID, &st) != nil || st.Mask&unix.STATX_MNT_ID == 0 {
		return false
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	place, device := "", ""
	var writable []mount
	for line := range strings.Lines(string(text)) {
		m, ok := parseMount(line)
		switch {
		case !ok:
			return false
		case !m.readOnly:
			writable = append(writable, m)
		case m.id == strconv.FormatUint(st.Mnt_id, 10):
			below, err := filepath.Rel(m.point, dir)
			if err != nil {
				return false
			}
			place, device = filepath.Join(m.root, below), m.device
		}
	}
	for _, m := range writable {
		if m.device == device && (isBelow(place, m.root) || isBelow(m.root, place)) {
			return false
		}
	}
	return place != ""
}

// A mount is a line of mountinfo.
type mount struct {
	id, device  string
	root, point string // what of the device is mounted, and where
	readOnly    bool
}

func parseMount(line string) (mount, bool) {
	f := strings.Fields(line)
	if len(f) < 6 || strings.Contains(f[3]+f[4], `\`) { // a name with spaces or the like
		return mount{}, false
	}
	return mount{id: f[0], device: f[2], root: f[3], point: f[4], readOnly: strings.HasPrefix(f[5]+",", "ro,")}, true
}

func isBelow(path, dir string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}
