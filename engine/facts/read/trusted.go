package read

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"hermes-reconcile/policy"
)

// Trusted reads a file like OpenTrusted, up to MaxConfig bytes.
func Trusted(path string, owner int) ([]byte, Outcome) {
	f, _, out := OpenTrusted(path, owner)
	if out.Status != "" {
		return nil, out
	}
	defer f.Close()
	return all(f, MaxConfig)
}

// OpenTrusted opens a regular file that no other user could have written or replaced. The
// file, its folder and all folders above belong to root or to the user owner, and no other
// user can write to them. A folder above may be open to all if it is sticky, like /tmp,
// because users can replace only their own files in it.
func OpenTrusted(path string, owner int) (*os.File, os.FileInfo, Outcome) {
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err == nil {
		folder, err = filepath.Abs(folder)
	}
	if err != nil {
		return nil, nil, OutcomeOf(err)
	}
	for above := folder; ; above = filepath.Dir(above) {
		info, err := os.Lstat(above)
		if err != nil {
			return nil, nil, OutcomeOf(err)
		}
		if problem := distrust(info, owner, above != folder); problem != "" {
			return nil, nil, Outcome{policy.StatusUnreadable, "a folder above it " + problem}
		}
		if above == filepath.Dir(above) {
			break
		}
	}
	f, err := os.OpenFile(filepath.Join(folder, filepath.Base(path)), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) {
		err = policy.ErrNotRegular
	}
	if err != nil {
		return nil, nil, OutcomeOf(err)
	}
	info, out := checkTrusted(f, owner)
	if out.Status != "" {
		f.Close()
		return nil, nil, out
	}
	return f, info, Outcome{}
}

func checkTrusted(f *os.File, owner int) (os.FileInfo, Outcome) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, OutcomeOf(err)
	case !info.Mode().IsRegular():
		return nil, OutcomeOf(policy.ErrNotRegular)
	}
	if problem := distrust(info, owner, false); problem != "" {
		return nil, Outcome{policy.StatusUnreadable, "it " + problem}
	}
	return info, Outcome{}
}

// distrust returns why a user other than root and owner could have written or replaced a
// file or folder, or "".
func distrust(info os.FileInfo, owner int, stickyIsEnough bool) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case ok && (st.Uid == 0 || int(st.Uid) == owner):
		if st.Mode&0o022 != 0 && !(stickyIsEnough && st.Mode&syscall.S_ISVTX != 0) {
			return "can be written by others than its owner"
		}
		return ""
	case owner == 0:
		return "is not owned by root"
	}
	return "is owned neither by root nor by the caller"
}
