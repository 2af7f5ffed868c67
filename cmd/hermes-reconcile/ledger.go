package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"slices"

	"hermes-reconcile/policy"
)

// Bounds on what is read of a ledger: it is on the volume, and the agent itself
// could have written it.
const (
	ledgerBytes = 64 << 20  // of each of the two files, from the end
	ledgerLines = 200       // the newest
	ledgerWidth = 256 << 10 // of one line; a longer one is left out
)

// alwaysDifferent are the facts that differ from one boot to the next without
// anybody having changed anything, or with the user who asks.
var alwaysDifferent = []string{"disk", "host", "identity", "log_directory", "owner_lease", "resources", "starts", "s6", "runtime_files"}

// factDigests identifies each fact, so that a later run can name those that have
// changed.
func factDigests(facts policy.Facts) map[string]string {
	digests := make(map[string]string, len(facts))
	for name, value := range facts {
		if slices.Contains(alwaysDifferent, name) {
			continue
		}
		digest := fnv.New32a()
		digest.Write(value)
		digests[name] = fmt.Sprintf("%08x", digest.Sum32())
	}
	return digests
}

func (v *localVolume) Ledger(_ context.Context, profile string) ([]ledgerLine, error) {
	return readLedger(v.home.Root(), profile)
}

func (v *childVolume) Ledger(ctx context.Context, profile string) ([]ledgerLine, error) {
	var lines []ledgerLine
	err := v.ask(ctx, volumeRequest{Ledger: &profile}, func(a volumeAnswer) { lines = append(lines, a.Ledger...) })
	return lines, err
}

// readLedger returns the newest lines of the ledger, with those that it was rotated
// to, that are about a profile or about the container, oldest first. A line that
// makes no sense, as an interrupted run leaves it, is left out. No ledger is no
// lines.
func readLedger(home policy.Directory, profile string) ([]ledgerLine, error) {
	var lines []ledgerLine
	var errs []error
	for _, name := range []string{"container-boot.jsonl.1", "container-boot.jsonl"} {
		file, err := home.Open("logs/" + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			lines, err = scanLedger(file, profile, lines)
			file.Close()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("logs/%s: %w", name, err))
		}
	}
	return lines, errors.Join(errs...)
}

func scanLedger(file policy.File, profile string, lines []ledgerLine) ([]ledgerLine, error) {
	info, err := file.Stat()
	if err != nil {
		return lines, err
	}
	from := max(0, info.Size()-ledgerBytes)
	reader := bufio.NewReaderSize(io.NewSectionReader(file, from, ledgerBytes), ledgerWidth)
	quoted, err := json.Marshal(profile)
	if err != nil {
		return lines, err
	}
	ours := append([]byte(`"profile":`), quoted...)
	for tooLong := false; ; {
		text, err := reader.ReadSlice('\n')
		isPart := errors.Is(err, bufio.ErrBufferFull)
		if l, ok := ledgerLineOf(text, ours, profile); ok && !isPart && !tooLong {
			lines = append(lines, l)
		}
		if len(lines) > 2*ledgerLines {
			lines = slices.Delete(lines, 0, len(lines)-ledgerLines)
		}
		tooLong = isPart
		if isPart || err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return lines[max(0, len(lines)-ledgerLines):], err
	}
}

// ledgerLineOf reads a line that is about the profile or about the container. Most
// lines are about others, and are not decoded.
func ledgerLineOf(text, ours []byte, profile string) (ledgerLine, bool) {
	var l ledgerLine
	mayBe := bytes.Contains(text, ours) || !bytes.Contains(text, []byte(`"prior_exit":`))
	if !mayBe || json.Unmarshal(text, &l) != nil {
		return l, false
	}
	return l, l.Time != "" && (l.Profile == profile || l.Profile == "")
}

// A bootRecord is what the ledger has of one boot for one profile.
type bootRecord struct {
	container *ledgerLine // nil where its line is lost
	profile   *ledgerLine // nil where the boot was skipped or the profile was not there
}

// bootsOf puts the lines of each boot and of each apply together, oldest first. An
// apply has no line of a profile that it left as it was, and is none of its runs then.
func bootsOf(lines []ledgerLine) []bootRecord {
	var boots []bootRecord
	for i := range lines {
		l := &lines[i]
		if l.Profile == "" {
			boots = append(boots, bootRecord{container: l})
			continue
		}
		last := len(boots) - 1
		if last >= 0 && boots[last].profile == nil && boots[last].container.Time == l.Time {
			boots[last].profile = l
			continue
		}
		boots = append(boots, bootRecord{profile: l})
	}
	return slices.DeleteFunc(boots, func(b bootRecord) bool { return b.profile == nil && !b.isBoot() })
}

// isBoot says that it was a boot, and no command on a running container.
func (b bootRecord) isBoot() bool { return b.line().Phase == policy.PhaseBoot }

// line is the one that says most.
func (b bootRecord) line() *ledgerLine {
	if b.profile != nil {
		return b.profile
	}
	return b.container
}

// lastStart returns the newest boot that started the profile.
func lastStart(boots []bootRecord) (bootRecord, bool) {
	for _, b := range slices.Backward(boots) {
		if b.profile != nil && b.profile.Action == actionWords[policy.ActionStart] {
			return b, true
		}
	}
	return bootRecord{}, false
}
