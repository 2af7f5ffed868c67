// Package ledger is container-boot.jsonl: one JSON object a line for what a pass decided about
// each profile, and why. The package makes the lines, and reads them back from a file that the
// agent itself could have written. Other packages write the file.
package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"hermes-reconcile/policy"
)

// A Line is one line of the ledger: what a pass decided about a profile, and why. A line
// without a profile is about the whole container.
type Line struct {
	Time        string                `json:"time"`
	BootID      string                `json:"boot_id,omitempty"`
	Phase       string                `json:"phase"`
	Command     string                `json:"command,omitempty"` // of an apply: the command that was called
	Cause       []string              `json:"cause,omitempty"`   // of a pass of the watch: its triggers
	Image       string                `json:"image,omitempty"`
	Profile     string                `json:"profile,omitempty"`
	Action      string                `json:"action"`
	Code        string                `json:"code"`
	Reason      string                `json:"reason"`
	PriorState  string                `json:"prior_state,omitempty"`
	PriorExit   string                `json:"prior_exit,omitempty"`
	FactsDigest string                `json:"facts_digest,omitempty"`
	Facts       map[string]string     `json:"facts,omitempty"` // a digest of each fact
	Rules       []policy.Contribution `json:"contributions,omitempty"`
	Policy      policy.Status         `json:"policy"`
	Alarms      []policy.Alarm        `json:"alarms,omitempty"`
	Operations  []Operation           `json:"operations,omitempty"`
	Errors      []string              `json:"errors,omitempty"`
	LeftOut     int                   `json:"left_out,omitempty"` // parts of the line, and lines of profiles, that had no room
}

// An Operation is the result of one operation, as a line records it.
type Operation struct {
	Op    policy.Op `json:"op"`
	Slot  string    `json:"slot,omitempty"` // of no profile: the scan directory, ".", or the service
	File  string    `json:"file,omitempty"`
	Done  bool      `json:"done"`
	Error string    `json:"error,omitempty"`
}

// Bounds on what is read of a ledger. It is on the volume, so the agent could have written it.
const (
	maxBytes = 64 << 20  // of each of the two files, from the end
	MaxLine  = 256 << 10 // bytes of one line; a longer line is left out
)

// A Place is how far a ledger was read. The zero Place is its beginning.
type Place struct {
	Inode  string // of its file
	Offset int64
}

// Scan calls add with every line of some files, the oldest first, from a place on, and of each
// file at most the last most bytes. If no file has the place, only the last is read. add
// reports whether the line was valid. Scan returns the place to which it read, and notes about
// files that could not be read and lines that are left out.
func Scan(home policy.Directory, files []string, from Place, most int64, add func(text []byte) bool) (to Place, notes []string) {
	to = from
	isFound := from == Place{}
	for i, name := range files {
		file, err := home.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var invalid int
		var torn bool
		if err == nil {
			offset, isKnown := from.in(file)
			if isFound = isFound || isKnown; isFound || i == len(files)-1 {
				to, invalid, torn, err = scanFile(file, offset, most, add)
			}
			file.Close()
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s: %v", name, err))
		}
		switch {
		case invalid == 1:
			notes = append(notes, name+": 1 line is not a record and is left out")
		case invalid > 1:
			notes = append(notes, fmt.Sprintf("%s: %d lines are not records and are left out", name, invalid))
		}
		if torn {
			notes = append(notes, name+": the last line is torn, as an interrupted run leaves it")
		}
	}
	return to, notes
}

// in returns where to go on in a file, and whether the place is in it. A file that is shorter
// is another one.
func (p Place) in(file policy.File) (offset int64, isKnown bool) {
	info, err := file.Stat()
	if err != nil || inode(info) != p.Inode || info.Size() < p.Offset {
		return 0, false
	}
	return p.Offset, true
}

func inode(info fs.FileInfo) string {
	inode, _, _ := strings.Cut(policy.Identity(info), "-")
	return inode
}

// scanFile reads from an offset on, and at most the last most bytes. It counts the lines that
// are too long or not valid. torn means that the last line is not valid and has no end; then
// to is its beginning.
func scanFile(file policy.File, from, most int64, add func(text []byte) bool) (to Place, invalid int, torn bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return Place{}, 0, false, err
	}
	from = max(from, info.Size()-most)
	to = Place{inode(info), from}
	reader := bufio.NewReaderSize(io.NewSectionReader(file, from, most), MaxLine)
	inPart := false // of a line that is left out
	if before := []byte{'\n'}; from > 0 {
		_, _ = file.ReadAt(before, from-1)
		inPart = before[0] != '\n'
	}
	for {
		text, err := reader.ReadSlice('\n')
		isPart := errors.Is(err, bufio.ErrBufferFull)
		switch {
		case inPart || len(bytes.TrimSpace(text)) == 0:
		case !isPart && add(text):
		case errors.Is(err, io.EOF):
			torn = true
		default:
			invalid++
		}
		if !torn {
			to.Offset += int64(len(text))
		}
		inPart = isPart
		switch {
		case err == nil || isPart:
		case errors.Is(err, io.EOF):
			return to, invalid, torn, nil
		default:
			return to, invalid, torn, err
		}
	}
}

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
