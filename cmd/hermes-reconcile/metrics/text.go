package metrics

import (
	"io"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"

	"hermes-reconcile/policy"
)

// families are metrics, in the order in which they are written. The registry of client_golang
// would be more than that: it needs a millisecond at every start of the program.
type families []*dto.MetricFamily

// A set sets the sample with these values of the labels of a metric. Each sample is set once.
type set func(value float64, values ...string)

func (f *families) gauge(name, help string, labels ...string) set {
	return f.add(dto.MetricType_GAUGE, name, help, labels)
}

func (f *families) counter(name, help string, labels ...string) set {
	return f.add(dto.MetricType_COUNTER, name, help, labels)
}

func (f *families) add(kind dto.MetricType, name, help string, labels []string) set {
	family := &dto.MetricFamily{Name: proto.String("hermes_reconcile_" + name), Help: &help, Type: &kind}
	*f = append(*f, family)
	return func(value float64, values ...string) {
		sample := &dto.Metric{}
		for i, text := range values {
			sample.Label = append(sample.Label, &dto.LabelPair{Name: &labels[i], Value: proto.String(policy.Clean(text))})
		}
		if kind == dto.MetricType_COUNTER {
			sample.Counter = &dto.Counter{Value: &value}
		} else {
			sample.Gauge = &dto.Gauge{Value: &value}
		}
		family.Metric = append(family.Metric, sample)
	}
}

// write writes the metrics that have samples.
func (f families) write(w io.Writer) error {
	for _, family := range f {
		if len(family.Metric) == 0 {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return err
		}
	}
	return nil
}
