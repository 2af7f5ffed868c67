package ledger

import "hermes-reconcile/policy"

// maxEnd bounds how much of the end of the ledger Last reads, in bytes. One pass over 480
// profiles writes about half of it.
const maxEnd = 1 << 20

// Last returns the newest line of each profile in the end of the ledger, and that of the
// container under "". Lines that are not valid are left out. The error wraps fs.ErrNotExist or
// policy.ErrNotRegular, or is the system's.
func Last(home policy.Directory) (map[string]Line, error) {
	file, err := home.Open("logs/" + Name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := map[string]Line{}
	_, _, _, err = scanFile(file, 0, maxEnd, func(text []byte) bool {
		l, ok := parseLine(text)
		if ok {
			lines[l.Profile] = l
		}
		return ok
	})
	return lines, err
}
