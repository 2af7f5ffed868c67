// Package ledger is container-boot.jsonl: one JSON object a line for what a run decided
// about each profile, and why. The package defines the lines and reads them back from a file
// that the agent itself could have written. Other packages write the file.
package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"hermes-reconcile/policy"
)

// A Line is one line of container-boot.jsonl: what was decided for a profile
// at a boot, and why; or, without a profile, for the whole container.
type Line struct {
	Time        string                `json:"time"`
	BootID      string                `json:"boot_id,omitempty"`
	Phase       string                `json:"phase"`
	Command     string                `json:"command,omitempty"` // of an apply: the command that was called
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
}

// An Operation is the end of one operation, as a line records it.
type Operation struct {
	Op    policy.Op `json:"op"`
	File  string    `json:"file,omitempty"`
	Done  bool      `json:"done"`
	Error string    `json:"error,omitempty"`
}

// Bounds on what is read of a ledger: it is on the volume, and the agent itself
// could have written it.
const (
	maxBytes = 64 << 20  // of each of the two files, from the end
	MaxLines = 200       // the newest
	MaxLine  = 256 << 10 // of one line; a longer one is left out
)

// Read returns the newest lines about a profile or about the container, oldest first, from
// the ledger and the file that it was rotated to. Invalid lines, which an interrupted run
// leaves, are left out. A missing ledger has no lines.
func Read(home policy.Directory, profile string) ([]Line, error) {
	var lines []Line
	var errs []error
	for _, name := range []string{"container-boot.jsonl.1", "container-boot.jsonl"} {
		file, err := home.Open("logs/" + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			lines, err = scan(file, profile, lines)
			file.Close()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("logs/%s: %w", name, err))
		}
	}
	return lines, errors.Join(errs...)
}

func scan(file policy.File, profile string, lines []Line) ([]Line, error) {
	info, err := file.Stat()
	if err != nil {
		return lines, err
	}
	from := max(0, info.Size()-maxBytes)
	reader := bufio.NewReaderSize(io.NewSectionReader(file, from, maxBytes), MaxLine)
	quoted, err := json.Marshal(profile)
	if err != nil {
		return lines, err
	}
	ours := append([]byte(`"profile":`), quoted...)
	for tooLong := false; ; {
		text, err := reader.ReadSlice('\n')
		isPart := errors.Is(err, bufio.ErrBufferFull)
		if l, ok := lineOf(text, ours, profile); ok && !isPart && !tooLong {
			lines = append(lines, l)
		}
		if len(lines) > 2*MaxLines {
			lines = slices.Delete(lines, 0, len(lines)-MaxLines)
		}
		tooLong = isPart
		if isPart || err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return lines[max(0, len(lines)-MaxLines):], err
	}
}

// lineOf decodes a line about the profile or about the container. Most lines are about other
// profiles and are not decoded.
func lineOf(text, ours []byte, profile string) (Line, bool) {
	var l Line
	mayBe := bytes.Contains(text, ours) || !bytes.Contains(text, []byte(`"prior_exit":`))
	if !mayBe || json.Unmarshal(text, &l) != nil {
		return l, false
	}
	return l, l.Time != "" && (l.Profile == profile || l.Profile == "")
}
