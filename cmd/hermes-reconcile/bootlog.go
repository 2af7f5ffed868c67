package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// bootLog makes the lines of container-boot.log: one for each profile, in the form
// of upstream, whose test suites and runbooks look for it:
//
//	2026-11-22T06:00:11+0000 profile=coder prior_state=running action=started prior_exit=unclean code=prior_intent
//
// A container that supervises nothing has one line that says why.
func bootLog(now policy.Now, d policy.Decisions) []byte {
	stamp := time.Unix(0, now.UnixNS).UTC().Format("2006-01-02T15:04:05-0700")
	var text bytes.Buffer
	if len(d.Skip) > 0 {
		fmt.Fprintf(&text, "%s action=skipped code=%s reason=%s\n", stamp, word(d.Skip[0].Code), word(d.Skip[0].Reason))
		return text.Bytes()
	}
	for _, name := range slices.Sorted(maps.Keys(d.Profiles)) {
		p := d.Profiles[name]
		fmt.Fprintf(&text, "%s profile=%s prior_state=%s action=%s prior_exit=%s code=%s\n",
			stamp, word(name), word(p.PriorState), actionWords[p.Action], word(p.PriorExit), word(p.Code))
	}
	return text.Bytes()
}

// ledgerText makes the lines of container-boot.jsonl: first one for the container,
// then one for each profile that is not left out with it. Errs are those that are
// about no profile; command is empty at a boot.
func ledgerText(s situation, d policy.Decisions, results []policy.Result, errs []string, command string) ([]byte, error) {
	line := ledger.Line{
		Time:   time.Unix(0, s.input.Now.UnixNS).UTC().Format(time.RFC3339),
		BootID: factString(s.input.Container["host"], "boot_id"),
		Phase:  d.Phase, Command: command,
		Image:  factString(s.input.Container["image"], "version"),
		Policy: d.Policy,
	}
	operations := map[string][]ledger.Operation{}
	for _, r := range results {
		o := ledger.Operation{Op: r.Operation.Op, File: r.Operation.File, Done: r.Done}
		if r.Err != nil {
			o.Error = r.Err.Error()
		}
		operations[r.Operation.Profile] = append(operations[r.Operation.Profile], o)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	container := line
	container.Action, container.Code, container.Reason = "reconciled", "reconciled", plural(len(d.Profiles), "profile")
	container.Facts = factDigests(s.input.Container)
	container.Alarms, container.Operations, container.Errors = fewAlarms(d.Alarms), operations[""], fewErrors(errs)
	if len(d.Skip) > 0 {
		container.Action, container.Code, container.Reason = "skipped", d.Skip[0].Code, d.Skip[0].Reason
		container.Rules = d.Skip
	}
	if err := encoder.Encode(container); err != nil || len(d.Skip) > 0 {
		return text.Bytes(), err
	}
	line.Policy.Errors = nil // said once, above
	names := slices.Sorted(maps.Keys(d.Profiles))
	texts, err := sideBySide(len(names), func(i int, text *json.Encoder) error {
		p, one := d.Profiles[names[i]], line
		one.Profile, one.Action, one.Code, one.Reason = names[i], actionWords[p.Action], p.Code, p.Reason
		one.PriorState, one.PriorExit, one.Rules = p.PriorState, p.PriorExit, p.Contributions
		one.FactsDigest = factsDigest(s.input.Profiles[names[i]])
		one.Facts = factDigests(s.input.Profiles[names[i]])
		one.Operations = operations[names[i]]
		return text.Encode(one)
	})
	return bytes.Join(append([][]byte{text.Bytes()}, texts...), nil), err
}

// mostAlike is how many alarms of one code are told, or errors. An agent can make any
// number of odd names; the log of a boot is for people all the same, and the container's
// line is to be read back (ledger.MaxLine).
const mostAlike = 20

// fewAlarms keeps the first alarms of each code, and says how many others there are.
func fewAlarms(alarms []policy.Alarm) []policy.Alarm {
	var few []policy.Alarm
	alike := map[string]int{}
	for _, a := range alarms {
		if alike[a.Code]++; alike[a.Code] <= mostAlike {
			few = append(few, a)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(alike)) {
		if more := alike[code] - mostAlike; more > 0 {
			few = append(few, policy.Alarm{Code: code, Reason: fmt.Sprintf("and %d more; see: hermes-reconcile eval", more)})
		}
	}
	return few
}

// fewErrors keeps the first errors, and says how many others there are.
func fewErrors(errs []string) []string {
	if len(errs) <= mostAlike {
		return errs
	}
	return append(slices.Clone(errs[:mostAlike]), fmt.Sprintf("and %d more", len(errs)-mostAlike))
}

// sideBySide writes n records in order, a part of them on each processor.
func sideBySide(n int, write func(i int, text *json.Encoder) error) ([][]byte, error) {
	parts := min(n, runtime.GOMAXPROCS(0))
	texts, errs := make([][]byte, parts), make([]error, parts)
	var group sync.WaitGroup
	for part := range parts {
		group.Go(func() {
			var text bytes.Buffer
			encoder := json.NewEncoder(&text)
			for i := part * n / parts; i < (part+1)*n/parts && errs[part] == nil; i++ {
				errs[part] = write(i, encoder)
			}
			texts[part] = text.Bytes()
		})
	}
	group.Wait()
	return texts, errors.Join(errs...)
}

// factsDigest identifies the facts of a profile, so that two boots can be compared.
func factsDigest(facts policy.Facts) string {
	digest := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		io.WriteString(digest, name)
		digest.Write([]byte{' '})
		digest.Write(facts[name])
		digest.Write([]byte{'\n'})
	}
	return hex.EncodeToString(digest.Sum(nil))[:12]
}

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
		digests[name] = hex.EncodeToString(digest.Sum(nil))
	}
	return digests
}

// factString reads one string of a fact, for a log line.
func factString(fact json.RawMessage, key string) string {
	var object map[string]any
	if json.Unmarshal(fact, &object) != nil {
		return ""
	}
	text, _ := object[key].(string)
	return text
}

func join(lines []string) string { return strings.Join(lines, "; ") }
