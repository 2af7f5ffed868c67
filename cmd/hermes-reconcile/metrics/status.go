// Package metrics turns what a pass found into metrics for Prometheus, and answers who asks a
// watch for them. Nothing that is asked changes anything.
package metrics

import (
	"bytes"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/google/renameio/v2"

	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
)

// Print prints the metrics of a status in the text format of Prometheus. A metric about a
// profile is left out where it is not known.
func Print(w io.Writer, d *status.Document) {
	_ = metricsOf(d).write(w) // nobody reads w any more
}

// WriteFile writes what Print prints to a file for a collector that may read at any moment.
// The temporary file is beside it, under a name that the collector does not read.
func WriteFile(path string, d *status.Document) error {
	var text bytes.Buffer
	if err := metricsOf(d).write(&text); err != nil {
		return err
	}
	return renameio.WriteFile(path, text.Bytes(), 0o644, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o644))
}

func metricsOf(d *status.Document) families {
	f := families{}
	for _, name := range d.Names() {
		f.addProfile(d.Profiles[name], label{"profile", name})
	}
	f.addContainer(d)
	for _, b := range d.Policy.Bundles {
		f.addBundle(b, label{"source", b.Source})
	}
	f.addService(d.Watch)
	if d.DecisionLog != nil {
		f.addDecisionLog(*d.DecisionLog)
	}
	return f
}

func (f families) addProfile(p status.Profile, profile label) {
	if p.Wanted == status.WantedUp || p.Wanted == status.WantedDown {
		f.flag("profile_wanted", "1 when operator and rules want the gateway up.", p.Wanted == status.WantedUp, profile)
		f.flag("profile_held", "1 when a hold keeps the gateway down.", p.Held, profile)
	}
	if p.Now != policy.NowUnknown && p.Now != policy.NowNothing {
		f.flag("profile_up", "1 when the gateway's process runs under its supervisor.", p.Now == policy.NowUp, profile)
		f.flag("profile_supervised", "1 when a supervisor holds the slot.", p.Now != policy.NowNobody, profile)
	}
	if p.Now == policy.NowUp || p.Now == policy.NowDown || p.Now == policy.NowWaiting {
		f.gauge("profile_restarts", "Deaths since the supervisor started; s6 counts to 100.", float64(p.Restarts), profile)
	}
	f.at("profile_changed_timestamp_seconds", "When it went up or down.", p.Since, profile)
	f.gauge("profile_info", "Always 1; what was decided, and why.", 1, profile, label{"wanted", string(p.Wanted)},
		label{"slot", string(p.Slot)}, label{"now", string(p.Now)}, label{"code", p.Code}, label{"served_by", string(p.ServedBy)})
}

func (f families) addContainer(d *status.Document) {
	f.addAlarms(d.Alarms)
	f.flag("volume_readable", "1 when the volume can be read.", d.Volume.Readable)
	if owner := d.Volume.Owner; owner != nil {
		f.flag("watch_lease_ours", "1 when the lease of the volume is that of this container.", owner.Ours)
		f.at("watch_lease_seen_timestamp_seconds", "When the owner of the volume renewed its lease last.", owner.SeenAt)
	}
	if running := d.Supervisor.Running; running != nil {
		f.flag("svscan_running", "1 when an s6-svscan works on the scan directory.", *running)
	}
	f.flag("policy_fallback", "1 when other rules decide than the operator's present ones.", d.Policy.Fallback)
	f.gauge("policy_info", "Always 1; the rules that decide.", 1, label{"source", d.Policy.Source}, label{"revision", d.Policy.Revision})
	f.at("status_timestamp_seconds", "When all this was found out.", d.At)
	var labels []label
	for _, name := range slices.Sorted(maps.Keys(d.Labels)) {
		labels = append(labels, label{name, d.Labels[name]})
	}
	if len(labels) > 0 {
		f.gauge("container_info", "Always 1; the labels of the container.", 1, labels...)
	}
}

func (f families) addAlarms(alarms []policy.Alarm) {
	counts := map[[2]string]float64{}
	for _, a := range alarms {
		counts[[2]string{a.Profile, a.Code}]++
	}
	for _, kind := range slices.SortedFunc(maps.Keys(counts), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		f.gauge("alarms", "Alarms by profile and code.", counts[kind], label{"profile", kind[0]}, label{"code", kind[1]})
	}
}

func (f families) addBundle(b policy.Bundle, source label) {
	f.gauge("bundle_info", "Always 1; a bundle of rules that is in force.", 1, source,
		label{"revision", b.Revision}, label{"signed", strconv.FormatBool(b.Signed)})
	f.at("bundle_activated_timestamp_seconds", "When a fetched bundle came into force.", b.Activated, source)
	if b.Checked.IsZero() {
		return
	}
	f.at("bundle_checked_timestamp_seconds", "When the source was asked for another bundle.", b.Checked, source)
	f.flag("bundle_failed", "1 when the source could not be asked.", b.Error != "", source)
	f.flag("bundle_refused", "1 when the source has a bundle that is not used.", b.Refused != "", source)
	f.flag("bundle_waiting", "1 when the source has a revision whose rollout has not come to this host.", b.Waiting != nil, source)
	f.flag("bundle_rolled_back", "1 when the revision after this one was rolled back.", b.RolledBack != nil, source)
}

func (f families) addService(w status.Watch) {
	if w.Running || w.Problem != "" {
		f.flag("watch_running", "1 when the service looked lately.", w.Running)
	}
	f.at("watch_looked_timestamp_seconds", "When the service looked last.", w.Looked)
	f.at("watch_next_timestamp_seconds", "When the rules want to be asked again.", w.Next)
}

func (f families) addDecisionLog(l status.DecisionLog) {
	f.counter("decision_log_dropped_total", "Events of the decision log that were dropped.", float64(l.Dropped))
	f.gauge("decision_log_buffered", "Events that wait for the collector.", float64(l.Buffered))
	f.flag("decision_log_complete", "0 when the last events could not be written, masked or uploaded.", l.Problem == "")
	f.at("decision_log_uploaded_timestamp_seconds", "When the collector took something last.", l.Uploaded)
}
