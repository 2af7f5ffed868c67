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
	"time"

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
	var f families
	f.addProfiles(d)
	f.addContainer(d)
	f.addService(d.Watch)
	f.addDecisionLog(d.DecisionLog)
	return f
}

func (f *families) addProfiles(d *status.Document) {
	wanted := f.gauge("profile_wanted", "1 when operator and rules want the gateway up.", "profile")
	held := f.gauge("profile_held", "1 when a hold keeps the gateway down.", "profile")
	up := f.gauge("profile_up", "1 when the gateway's process runs under its supervisor.", "profile")
	supervised := f.gauge("profile_supervised", "1 when a supervisor holds the slot.", "profile")
	restarts := f.gauge("profile_restarts", "Deaths since the supervisor started; s6 counts to 100.", "profile")
	since := f.gauge("profile_changed_timestamp_seconds", "When it went up or down.", "profile")
	info := f.gauge("profile_info", "Always 1; what was decided, and why.", "profile", "wanted", "slot", "now", "code", "served_by")
	for _, name := range d.Names() {
		p := d.Profiles[name]
		if p.Wanted == status.WantedUp || p.Wanted == status.WantedDown {
			wanted(oneIf(p.Wanted == status.WantedUp), name)
			held(oneIf(p.Held), name)
		}
		if p.Now != policy.NowUnknown && p.Now != policy.NowNothing {
			up(oneIf(p.Now == policy.NowUp), name)
			supervised(oneIf(p.Now != policy.NowNobody), name)
		}
		if p.Now == policy.NowUp || p.Now == policy.NowDown || p.Now == policy.NowWaiting {
			restarts(float64(p.Restarts), name)
		}
		if !p.Since.IsZero() {
			since(float64(p.Since.Unix()), name)
		}
		info(1, name, string(p.Wanted), string(p.Slot), string(p.Now), p.Code, string(p.ServedBy))
	}
}

func (f *families) addContainer(d *status.Document) {
	alarms := f.gauge("alarms", "Alarms by profile and code.", "profile", "code")
	counts := map[policy.Alarm]float64{}
	for _, a := range d.Alarms {
		counts[policy.Alarm{Profile: a.Profile, Code: a.Code}]++
	}
	for _, a := range d.Alarms {
		kind := policy.Alarm{Profile: a.Profile, Code: a.Code}
		if n := counts[kind]; n > 0 {
			alarms(n, a.Profile, a.Code)
			delete(counts, kind)
		}
	}
	f.gauge("volume_readable", "1 when the volume can be read.")(oneIf(d.Volume.Readable))
	if running := d.Supervisor.Running; running != nil {
		f.gauge("svscan_running", "1 when an s6-svscan works on the scan directory.")(oneIf(*running))
	}
	f.gauge("policy_fallback", "1 when other rules decide than the operator's present ones.")(oneIf(d.Policy.Fallback))
	if names := slices.Sorted(maps.Keys(d.Labels)); len(names) > 0 {
		var values []string
		for _, name := range names {
			values = append(values, d.Labels[name])
		}
		f.gauge("container_info", "Always 1; the labels of the container.", names...)(1, values...)
	}
	f.gauge("policy_info", "Always 1; the rules that decide.", "source", "revision")(1, d.Policy.Source, d.Policy.Revision)
	f.addBundles(d.Policy.Bundles)
	f.gauge("status_timestamp_seconds", "When all this was found out.")(float64(d.At.Unix()))
}

func (f *families) addBundles(bundles []policy.Bundle) {
	info := f.gauge("bundle_info", "Always 1; a bundle of rules that is in force.", "source", "revision", "signed")
	activated := f.gauge("bundle_activated_timestamp_seconds", "When a fetched bundle came into force.", "source")
	checked := f.gauge("bundle_checked_timestamp_seconds", "When the source was asked for another bundle.", "source")
	failed := f.gauge("bundle_failed", "1 when the source could not be asked.", "source")
	refused := f.gauge("bundle_refused", "1 when the source has a bundle that is not used.", "source")
	waiting := f.gauge("bundle_waiting", "1 when the source has a revision whose rollout has not come to this host.", "source")
	back := f.gauge("bundle_rolled_back", "1 when the revision after this one was rolled back.", "source")
	for _, b := range bundles {
		info(1, b.Source, b.Revision, strconv.FormatBool(b.Signed))
		if !b.Activated.IsZero() {
			activated(float64(b.Activated.Unix()), b.Source)
		}
		if !b.Checked.IsZero() {
			checked(float64(b.Checked.Unix()), b.Source)
			failed(oneIf(b.Error != ""), b.Source)
			refused(oneIf(b.Refused != ""), b.Source)
			waiting(oneIf(b.Waiting != nil), b.Source)
			back(oneIf(b.RolledBack != nil), b.Source)
		}
	}
}

func (f *families) addService(w status.Watch) {
	at := func(name, help string, t time.Time) {
		if !t.IsZero() {
			f.gauge(name, help)(float64(t.Unix()))
		}
	}
	if w.Running || w.Problem != "" {
		f.gauge("watch_running", "1 when the service looked lately.")(oneIf(w.Running))
	}
	at("watch_looked_timestamp_seconds", "When the service looked last.", w.Looked)
	at("watch_next_timestamp_seconds", "When the rules want to be asked again.", w.Next)
	if w.Lease != nil {
		f.gauge("watch_lease_ours", "1 when the lease of the volume is that of this container.")(oneIf(w.Lease.Ours))
		at("watch_lease_seen_timestamp_seconds", "When the owner of the volume renewed its lease last.", time.Unix(w.Lease.SeenUnix, 0))
	}
}

func (f *families) addDecisionLog(l *status.DecisionLog) {
	if l == nil {
		return
	}
	f.counter("decision_log_dropped_total", "Events of the decision log that were dropped.")(float64(l.Dropped))
	f.gauge("decision_log_buffered", "Events that wait for the collector.")(float64(l.Buffered))
	f.gauge("decision_log_complete", "0 when the last events could not be written, masked or uploaded.")(oneIf(l.Problem == ""))
	if !l.Uploaded.IsZero() {
		f.gauge("decision_log_uploaded_timestamp_seconds", "When the collector took something last.")(float64(l.Uploaded.Unix()))
	}
}

func oneIf(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
