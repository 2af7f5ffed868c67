package view

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
)

// Status prints the profiles, and below them what wants attention.
func Status(w io.Writer, d *status.Document) {
	writeSkip(w, d.Skip)
	table := newTable(w, "PROFILE", "WANTED", "SLOT", "NOW", "REASON", "SERVED BY")
	for _, name := range d.Names() {
		p := d.Profiles[name]
		served := p.ServedBy
		if served == status.ServedSelf {
			served = fmt.Sprintf("self (%d)", p.PID)
		}
		table.row(name, p.Wanted, p.Slot, p.DescribeNow(d.At), p.Code, served)
	}
	table.end()
	writePolicy(w, policy.Decisions{Policy: d.Policy, Alarms: d.Alarms})
}

// StatusFrame is one drawing of the status on a terminal of a height. It starts at the top
// left and ends with the terminal.
func StatusFrame(d *status.Document, every time.Duration, height int) []byte {
	var text, frame bytes.Buffer
	Status(&text, d)
	fmt.Fprintf(&frame, "\x1b[H\x1b[2J%s, every %s, q to end\n\n", d.Time, every)
	lines := slices.Collect(strings.Lines(policy.Clean(text.String())))
	if most := height - 4; most > 0 && len(lines) > most {
		lines = append(lines[:most:most], fmt.Sprintf("… and %d more lines\n", len(lines)-most))
	}
	frame.WriteString(strings.Join(lines, ""))
	return frame.Bytes()
}

// A metric is one gauge with its samples.
type metric struct {
	name, help string
	samples    []string
}

// add adds a sample; labels are pairs of name and value.
func (m *metric) add(value float64, labels ...string) {
	var text []string
	for i := 0; i+1 < len(labels); i += 2 {
		text = append(text, labels[i]+`="`+escapeLabel.Replace(policy.Clean(labels[i+1]))+`"`)
	}
	set := ""
	if len(text) > 0 {
		set = "{" + strings.Join(text, ",") + "}"
	}
	m.samples = append(m.samples, fmt.Sprintf("hermes_reconcile_%s%s %s", m.name, set, strconv.FormatFloat(value, 'f', -1, 64)))
}

// escapeLabel escapes as the text format of Prometheus does.
var escapeLabel = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func oneIf(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// Prometheus prints the text format of Prometheus. A metric about a profile is
// left out where it is not known.
func Prometheus(w io.Writer, d *status.Document) {
	for _, m := range append(profileMetrics(d), containerMetrics(d)...) {
		fmt.Fprintf(w, "# HELP hermes_reconcile_%s %s\n# TYPE hermes_reconcile_%s gauge\n", m.name, m.help, m.name)
		for _, sample := range m.samples {
			fmt.Fprintln(w, sample)
		}
	}
}

func profileMetrics(d *status.Document) []metric {
	wanted := metric{name: "profile_wanted", help: "1 when operator and rules want the gateway up."}
	up := metric{name: "profile_up", help: "1 when the gateway's process runs under its supervisor."}
	supervised := metric{name: "profile_supervised", help: "1 when a supervisor holds the slot."}
	restarts := metric{name: "profile_restarts", help: "Deaths since the supervisor started; s6 counts to 100."}
	since := metric{name: "profile_changed_timestamp_seconds", help: "When it went up or down."}
	info := metric{name: "profile_info", help: "Always 1; what was decided, and why."}
	for _, name := range d.Names() {
		p := d.Profiles[name]
		if p.Wanted == status.WantedUp || p.Wanted == status.WantedDown {
			wanted.add(oneIf(p.Wanted == status.WantedUp), "profile", name)
		}
		if p.Now != policy.NowUnknown && p.Now != policy.NowNothing {
			up.add(oneIf(p.Now == policy.NowUp), "profile", name)
			supervised.add(oneIf(p.Now != policy.NowNobody), "profile", name)
		}
		if p.Now == policy.NowUp || p.Now == policy.NowDown || p.Now == policy.NowWaiting {
			restarts.add(float64(p.Restarts), "profile", name)
		}
		if p.SinceUnix > 0 {
			since.add(float64(p.SinceUnix), "profile", name)
		}
		info.add(1, "profile", name, "wanted", p.Wanted, "slot", p.Slot, "now", p.Now, "code", p.Code, "served_by", p.ServedBy)
	}
	return []metric{wanted, up, supervised, restarts, since, info}
}

func containerMetrics(d *status.Document) []metric {
	alarms := metric{name: "alarms", help: "Alarms by profile and code."}
	type key struct{ profile, code string }
	counts := map[key]int{}
	var order []key
	for _, a := range d.Alarms {
		k := key{a.Profile, a.Code}
		if counts[k] == 0 {
			order = append(order, k)
		}
		counts[k]++
	}
	for _, k := range order {
		alarms.add(float64(counts[k]), "profile", k.profile, "code", k.code)
	}
	readable := metric{name: "volume_readable", help: "1 when the volume can be read."}
	readable.add(oneIf(d.Volume.Readable))
	svscan := metric{name: "svscan_running", help: "1 when an s6-svscan works on the scan directory."}
	if d.Supervisor.Running != nil {
		svscan.add(oneIf(*d.Supervisor.Running))
	}
	fallback := metric{name: "policy_fallback", help: "1 when other rules decide than the operator's present ones."}
	fallback.add(oneIf(d.Policy.Fallback))
	info := metric{name: "policy_info", help: "Always 1; the rules that decide."}
	info.add(1, "source", d.Policy.Source, "revision", d.Policy.Revision)
	stamp := metric{name: "status_timestamp_seconds", help: "When all this was found out."}
	stamp.add(float64(d.At.Unix()))
	return []metric{alarms, readable, svscan, fallback, info, stamp}
}
