package metrics

import (
	"io"
	"maps"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"

	"hermes-reconcile/policy"
)

// families are metrics. The registry of client_golang would be more than that: it needs a
// millisecond at every start of the program.
type families map[string]*dto.MetricFamily

// A label is the name and the value of a label.
type label [2]string

// gauge adds a sample. Each sample is added once.
func (f families) gauge(name, help string, value float64, labels ...label) {
	f.add(dto.MetricType_GAUGE, name, help, labels).Gauge = &dto.Gauge{Value: &value}
}

// flag adds a sample that is 1 or 0.
func (f families) flag(name, help string, on bool, labels ...label) {
	value := 0.0
	if on {
		value = 1
	}
	f.gauge(name, help, value, labels...)
}

// at adds a time, unless it is not known.
func (f families) at(name, help string, t time.Time, labels ...label) {
	if !t.IsZero() {
		f.gauge(name, help, float64(t.Unix()), labels...)
	}
}

func (f families) counter(name, help string, value float64, labels ...label) {
	f.add(dto.MetricType_COUNTER, name, help, labels).Counter = &dto.Counter{Value: &value}
}

func (f families) add(kind dto.MetricType, name, help string, labels []label) *dto.Metric {
	family := f[name]
	if family == nil {
		family = &dto.MetricFamily{Name: proto.String("hermes_reconcile_" + name), Help: &help, Type: &kind}
		f[name] = family
	}
	sample := &dto.Metric{}
	for i, l := range labels {
		sample.Label = append(sample.Label, &dto.LabelPair{Name: &labels[i][0], Value: proto.String(policy.Clean(l[1]))})
	}
	family.Metric = append(family.Metric, sample)
	return sample
}

// write writes the metrics by name.
func (f families) write(w io.Writer) error {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if _, err := expfmt.MetricFamilyToText(w, f[name]); err != nil {
			return err
		}
	}
	return nil
}
