package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"hermes-reconcile/policy"
)

func writeStatus(w io.Writer, format string, prometheus bool, d *statusDocument) error {
	if prometheus {
		writePrometheus(w, d)
		return nil
	}
	if format != "table" {
		return writeDocument(w, format, d)
	}
	return writeStatusTable(w, d)
}

// writeStatusTable prints the profiles, and below them what wants attention.
func writeStatusTable(w io.Writer, d *statusDocument) error {
	for _, c := range d.Skip {
		fmt.Fprintf(w, "This container supervises nothing: %s (%s, %s)\n", line(c.Reason), c.Rule, c.Location)
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "PROFILE\tWANTED\tSLOT\tNOW\tREASON\tSERVED BY")
	for _, name := range d.names() {
		p := d.Profiles[name]
		served := p.ServedBy
		if served == servedSelf {
			served = fmt.Sprintf("self (%d)", p.PID)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", line(name), p.Wanted, p.Slot, p.describeNow(d.now), line(p.Code), served)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	writeAlarms(w, policy.Decisions{Policy: d.Policy, Alarms: d.Alarms})
	return nil
}

// A metric is one name with its samples.
type metric struct {
	name, kind, help string
	samples          []string
}

// add notes a sample; labels are pairs of name and value.
func (m *metric) add(value float64, labels ...string) {
	var text []string
	for i := 0; i+1 < len(labels); i += 2 {
		text = append(text, labels[i]+`="`+escapeLabel.Replace(labels[i+1])+`"`)
	}
	set := ""
	if len(text) > 0 {
		set = "{" + strings.Join(text, ",") + "}"
	}
	m.samples = append(m.samples, fmt.Sprintf("hermes_reconcile_%s%s %v", m.name, set, number(value)))
}

// escapeLabel is what the text format of Prometheus asks for.
var escapeLabel = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func number(v float64) string {
	if v == float64(int64(v)) {
		return fmt.Sprint(int64(v))
	}
	return fmt.Sprint(v)
}

func oneIf(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// writePrometheus prints the text format of Prometheus. A metric about a profile is
// left out where it is not known.
func writePrometheus(w io.Writer, d *statusDocument) {
	for _, m := range append(profileMetrics(d), containerMetrics(d)...) {
		fmt.Fprintf(w, "# HELP hermes_reconcile_%s %s\n# TYPE hermes_reconcile_%s %s\n", m.name, m.help, m.name, m.kind)
		for _, sample := range m.samples {
			fmt.Fprintln(w, sample)
		}
	}
}

func profileMetrics(d *statusDocument) []metric {
	wanted := metric{name: "profile_wanted", kind: "gauge", help: "1 when operator and rules want the gateway up."}
	up := metric{name: "profile_up", kind: "gauge", help: "1 when the gateway's process runs under its supervisor."}
	supervised := metric{name: "profile_supervised", kind: "gauge", help: "1 when a supervisor holds the slot."}
	restarts := metric{name: "profile_restarts", kind: "gauge", help: "Deaths since the supervisor started; s6 counts to 100."}
	since := metric{name: "profile_changed_timestamp_seconds", kind: "gauge", help: "When it went up or down."}
	info := metric{name: "profile_info", kind: "gauge", help: "Always 1; what was decided, and why."}
	for _, name := range d.names() {
		p := d.Profiles[name]
		if p.Wanted == wantedUp || p.Wanted == wantedDown {
			wanted.add(oneIf(p.Wanted == wantedUp), "profile", name)
		}
		if p.Now != unknown && p.Now != nothing {
			up.add(oneIf(p.Now == nowUp), "profile", name)
			supervised.add(oneIf(p.Now != nowNobody), "profile", name)
		}
		if p.Now == nowUp || p.Now == nowDown || p.Now == nowWaiting {
			restarts.add(float64(p.Restarts), "profile", name)
		}
		if p.sinceUnix > 0 {
			since.add(float64(p.sinceUnix), "profile", name)
		}
		info.add(1, "profile", name, "wanted", p.Wanted, "slot", p.Slot, "now", p.Now, "code", p.Code, "served_by", p.ServedBy)
	}
	return []metric{wanted, up, supervised, restarts, since, info}
}

func containerMetrics(d *statusDocument) []metric {
	alarms := metric{name: "alarms", kind: "gauge", help: "Alarms by profile and code."}
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
	readable := metric{name: "volume_readable", kind: "gauge", help: "1 when the volume can be read."}
	readable.add(oneIf(d.Volume.Readable))
	svscan := metric{name: "svscan_running", kind: "gauge", help: "1 when an s6-svscan works on the scan directory."}
	if d.Supervisor.Running != nil {
		svscan.add(oneIf(*d.Supervisor.Running))
	}
	fallback := metric{name: "policy_fallback", kind: "gauge", help: "1 when other rules decide than the operator's present ones."}
	fallback.add(oneIf(d.Policy.Fallback))
	info := metric{name: "policy_info", kind: "gauge", help: "Always 1; the rules that decide."}
	info.add(1, "source", d.Policy.Source, "revision", d.Policy.Revision)
	stamp := metric{name: "status_timestamp_seconds", kind: "gauge", help: "When all this was found out."}
	stamp.add(float64(d.now.Unix()))
	return []metric{alarms, readable, svscan, fallback, info, stamp}
}
